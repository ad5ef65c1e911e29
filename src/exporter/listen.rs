//! Serves sockets with limits on connections, headers and time.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum_server::Handle;
use axum_server::accept::Accept;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};

/// Most connections at a time. A peer needs one for a moment every 15 seconds.
const CONNECTIONS: usize = 512;
/// Time for a request's head, and for an idle connection.
const HEAD: Duration = Duration::from_secs(10);
/// Time for a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Time for a reader to take an answer.
const ANSWER: Duration = Duration::from_secs(15);
/// Most bytes of a request's head.
const HEAD_LIMIT: usize = 16 * 1024;
/// Most headers of a request.
const HEADERS_LIMIT: usize = 64;
/// Time for requests under way when the exporter stops.
pub(super) const GRACE: Duration = Duration::from_secs(10);

/// Serves a router on a socket until the handle shuts it down.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<RustlsConfig>,
    handle: Handle<SocketAddr>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let mut server = axum_server::from_tcp(listener)?.http1_only().handle(handle).first_request_timeout(HEAD);
    server.http_builder().http1().header_read_timeout(HEAD).max_buf_size(HEAD_LIMIT).max_headers(HEADERS_LIMIT);
    let limit = Limit { connections: Arc::new(Semaphore::new(CONNECTIONS)), answer: ANSWER };
    match tls {
        Some(config) => {
            let acceptor = RustlsAcceptor::new(config).handshake_timeout(HANDSHAKE).acceptor(limit);
            server.acceptor(acceptor).serve(router.into_make_service()).await
        }
        None => server.acceptor(limit).serve(router.into_make_service()).await,
    }
}

/// Accepts connections up to the limit and closes further ones at once.
#[derive(Clone, Debug)]
struct Limit {
    connections: Arc<Semaphore>,
    answer: Duration,
}

impl<S> Accept<TcpStream, S> for Limit {
    type Stream = Guarded<TcpStream>;
    type Service = S;
    type Future = std::future::Ready<io::Result<(Self::Stream, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        std::future::ready(match Arc::clone(&self.connections).try_acquire_owned() {
            Ok(permit) => {
                // The whole answer is written at once: Nagle's algorithm would only delay it.
                let _ = stream.set_nodelay(true);
                Ok((Guarded { stream, limit: self.answer, stalled: None, _permit: permit }, service))
            }
            Err(_) => Err(io::Error::other("too many connections")),
        })
    }
}

/// A connection that times out if the reader does not take its answer.
#[derive(Debug)]
struct Guarded<S> {
    stream: S,
    limit: Duration,
    /// Runs from the first write that had to wait until everything is flushed.
    stalled: Option<Pin<Box<Sleep>>>,
    _permit: OwnedSemaphorePermit,
}

impl<S> Guarded<S> {
    fn waited<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            return outcome;
        }
        let limit = self.limit;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.waited(cx, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.waited(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(cx);
        if matches!(outcome, Poll::Ready(Ok(()))) {
            self.stalled = None;
        }
        self.waited(cx, outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.waited(cx, outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    #[tokio::test]
    async fn a_reader_that_does_not_take_the_answer_times_out() {
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let (server, mut client) = duplex(8);
        let mut server = Guarded { stream: server, limit: Duration::from_millis(200), stalled: None, _permit: permit };
        // A reader that goes on reading gets everything, however often the writer has to wait.
        for _ in 0..3 {
            let reading = async {
                let mut read = [0; 64];
                client.read_exact(&mut read).await.unwrap();
            };
            let writing = async {
                server.write_all(&[1; 64]).await.unwrap();
                server.flush().await.unwrap();
            };
            tokio::join!(reading, writing);
        }
        assert!(server.stalled.is_none());
        let error = server.write_all(&[1; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_connection_above_the_limit_is_closed_until_another_ends() {
        let limit = Limit { connections: Arc::new(Semaphore::new(1)), answer: ANSWER };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = async || TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (first, ()) = limit.accept(stream().await, ()).await.unwrap();
        assert!(limit.accept(stream().await, ()).await.is_err());
        drop(first);
        assert!(limit.accept(stream().await, ()).await.is_ok());
    }
}
