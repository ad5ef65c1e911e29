//! The stream of a watch, line by line.

use std::pin::Pin;

use futures_util::io::{AsyncBufRead, AsyncBufReadExt as _};

/// Most bytes of a line: an object in etcd has at most 1.5 MB, a little more as JSON.
pub(super) const LINE_LIMIT: usize = 8 << 20;

/// A body that is read line by line.
pub(super) struct WatchStream {
    body: Pin<Box<dyn AsyncBufRead + Send>>,
    /// A line whose end has not arrived yet.
    begun: Vec<u8>,
}

/// Why there are no more lines.
#[derive(Debug)]
pub(super) enum End {
    /// The body is complete.
    Orderly,
    /// It is cut off.
    Broken(String),
    /// A line has more than [`LINE_LIMIT`] bytes.
    TooLong,
}

impl WatchStream {
    pub(super) fn new(body: impl AsyncBufRead + Send + 'static) -> Self {
        Self { body: Box::pin(body), begun: Vec::new() }
    }

    /// Waits for the next lines and returns all that have arrived, at least one. Cancel safe.
    pub(super) async fn next(&mut self) -> Result<Vec<Vec<u8>>, End> {
        loop {
            let chunk = self.body.fill_buf().await.map_err(|error| End::Broken(error.to_string()))?;
            if chunk.is_empty() {
                return Err(if self.begun.is_empty() {
                    End::Orderly
                } else {
                    End::Broken("a line is cut off".to_owned())
                });
            }
            let length = chunk.len();
            let mut lines = Vec::new();
            for piece in chunk.split_inclusive(|&byte| byte == b'\n') {
                self.begun.extend_from_slice(piece);
                if self.begun.ends_with(b"\n") {
                    lines.push(std::mem::take(&mut self.begun));
                }
            }
            self.body.as_mut().consume(length);
            if self.begun.len() > LINE_LIMIT {
                return Err(End::TooLong);
            }
            lines.retain(|line| !line.trim_ascii().is_empty());
            if !lines.is_empty() {
                return Ok(lines);
            }
        }
    }
}
