//! Reads and writes PEM (RFC 7468), for certificates and keys. No other file reads PEM.
//!
//! A block may be a private key, so neither an error nor `Debug` shows its content.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

/// Label of a certificate's block.
pub const CERTIFICATE: &str = "CERTIFICATE";

const BEGIN: &str = "-----BEGIN ";
const DASHES: &str = "-----";
/// Characters of a line of base64.
const LINE: usize = 64;

/// How much of a text is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of the whole text; a longer one is not read at all.
    pub bytes: usize,
    /// Most blocks; those after them are not read.
    pub blocks: usize,
}

/// How much of a list of CA certificates is read, a peer's and our own.
pub const CA_LIST: Limits = Limits { bytes: 64 * 1024, blocks: 16 };

#[derive(Clone, PartialEq, Eq)]
pub struct Block {
    /// The word after `BEGIN`, such as `CERTIFICATE`.
    pub label: String,
    /// The decoded content.
    pub content: Vec<u8>,
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Block").field("label", &self.label).finish_non_exhaustive()
    }
}

/// Why a PEM text, or one block of it, cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PemError {
    /// More than [`Limits::bytes`].
    #[error("the text is longer than {0} bytes")]
    TooLong(usize),
    /// More than [`Limits::blocks`].
    #[error("the text has more than {0} PEM blocks; the rest is ignored")]
    TooManyBlocks(usize),
    /// No block at all.
    #[error("there is no PEM block (no \"-----BEGIN\" line)")]
    NoBlock,
    /// Only where certificates are read.
    #[error("the PEM block is not a CERTIFICATE")]
    NotCertificate,
    /// No end line, or one with another label than the begin line.
    #[error("the PEM block has no matching END line")]
    Unterminated,
    /// The content is not base64.
    #[error("the PEM block is not valid base64")]
    Base64,
}

/// The blocks of a text in their order. A broken block is an error of its own and does not affect the others.
///
/// Text around the blocks is ignored. A text without any block gives one error.
#[must_use]
pub fn blocks(text: &str, limits: Limits) -> Vec<Result<Block, PemError>> {
    if text.len() > limits.bytes {
        return vec![Err(PemError::TooLong(limits.bytes))];
    }
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(BEGIN) {
        if found.len() == limits.blocks {
            found.push(Err(PemError::TooManyBlocks(limits.blocks)));
            break;
        }
        let (block, after) = block(&rest[start + BEGIN.len()..]);
        found.push(block);
        rest = after;
    }
    if found.is_empty() {
        found.push(Err(PemError::NoBlock));
    }
    found
}

/// The certificates (DER) of a text in their order, by the rules of [`blocks`].
#[must_use]
pub fn certificates(text: &str, limits: Limits) -> Vec<Result<Vec<u8>, PemError>> {
    let certificate = |block: Block| match block.label.as_str() {
        CERTIFICATE => Ok(block.content),
        _ => Err(PemError::NotCertificate),
    };
    blocks(text, limits).into_iter().map(|block| block.and_then(certificate)).collect()
}

/// One block as text: lines of 64 characters that end in LF.
#[must_use]
pub fn encode(label: &str, content: &[u8]) -> String {
    let encoded = STANDARD.encode(content);
    let mut text = format!("{BEGIN}{label}{DASHES}\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(LINE.min(rest.len()));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text + "-----END " + label + DASHES + "\n"
}

/// A certificate (DER) as one block.
#[must_use]
pub fn encode_certificate(der: &[u8]) -> String {
    encode(CERTIFICATE, der)
}

/// Reads one block after its `BEGIN`; also returns the rest of the text.
fn block(text: &str) -> (Result<Block, PemError>, &str) {
    let Some((label, body)) = text.split_once(DASHES) else { return (Err(PemError::Unterminated), "") };
    // A block without an end must not swallow the next one.
    let body_end = body.find(DASHES).unwrap_or(body.len());
    let (body, after) = body.split_at(body_end);
    let end = format!("-----END {label}-----");
    let Some(after) = after.strip_prefix(end.as_str()) else { return (Err(PemError::Unterminated), after) };
    let compact: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let content = STANDARD.decode(compact).map_err(|_| PemError::Base64);
    (content.map(|content| Block { label: label.to_owned(), content }), after)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { bytes: 4096, blocks: 16 };
    const HELLO: &str = "-----BEGIN CERTIFICATE-----\naGVs\nbG8=\n-----END CERTIFICATE-----\n";

    #[test]
    fn a_broken_block_does_not_affect_the_others() {
        let hello = || Ok(b"hello".to_vec());
        let key = "-----BEGIN PRIVATE KEY-----\naGVsbG8=\n-----END PRIVATE KEY-----\n";
        for (text, expected) in [
            (HELLO.to_owned(), vec![hello()]),
            (format!("# a comment\r\n{}text{HELLO}", HELLO.replace('\n', "\r\n")), vec![hello(), hello()]),
            (String::new(), vec![Err(PemError::NoBlock)]),
            ("-----BEGIN".to_owned(), vec![Err(PemError::NoBlock)]),
            ("-----BEGIN CERTIFICATE".to_owned(), vec![Err(PemError::Unterminated)]),
            (format!("-----BEGIN CERTIFICATE-----\naGVs\n{HELLO}"), vec![Err(PemError::Unterminated), hello()]),
            (format!("{key}{HELLO}"), vec![Err(PemError::NotCertificate), hello()]),
            (format!("{}{HELLO}", HELLO.replace("aGVs", "a?Vs")), vec![Err(PemError::Base64), hello()]),
            (HELLO.replace("END CERTIFICATE", "END X"), vec![Err(PemError::Unterminated)]),
        ] {
            assert_eq!(certificates(&text, LIMITS), expected, "{text}");
        }
    }

    #[test]
    fn a_block_has_any_label_and_does_not_show_its_content() {
        let read = blocks("-----BEGIN ED25519 PRIVATE KEY-----\naGVsbG8=\n-----END ED25519 PRIVATE KEY-----\n", LIMITS);
        let key = Block { label: "ED25519 PRIVATE KEY".to_owned(), content: b"hello".to_vec() };
        assert_eq!(format!("{key:?}"), r#"Block { label: "ED25519 PRIVATE KEY", .. }"#);
        assert_eq!(read, [Ok(key)]);
    }

    #[test]
    fn a_text_is_bounded() {
        let many = certificates(&HELLO.repeat(LIMITS.blocks + 5), LIMITS);
        assert_eq!(many.len(), LIMITS.blocks + 1);
        assert_eq!(many.last(), Some(&Err(PemError::TooManyBlocks(LIMITS.blocks))));
        let long = format!("{HELLO}{}", " ".repeat(LIMITS.bytes));
        assert_eq!(certificates(&long, LIMITS), vec![Err(PemError::TooLong(LIMITS.bytes))]);
    }

    #[test]
    fn a_written_block_is_read_back() {
        for length in [0_u8, 1, 47, 48, 49, 200] {
            let der: Vec<u8> = (0..length).collect();
            let text = encode_certificate(&der);
            assert_eq!(certificates(&text, LIMITS), vec![Ok(der)]);
            assert!(text.lines().all(|line| line.len() <= LINE));
            assert!(text.ends_with("-----END CERTIFICATE-----\n"));
        }
    }
}
