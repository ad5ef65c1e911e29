//! PEM in and out: certificates of a text, block by block, and one certificate as a text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest;
use thiserror::Error;

/// Most bytes of a PEM text that are looked at.
pub const PEM_TEXT_LIMIT: usize = 64 * 1024;
/// Most blocks of a PEM text that are looked at.
pub const PEM_BLOCK_LIMIT: usize = 16;

const BEGIN: &str = "-----BEGIN ";
const DASHES: &str = "-----";
const LABEL: &str = "CERTIFICATE";
const LINE: usize = 64;

/// Why a PEM block gives no certificate. Never shows what the block contains: it may be a private key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PemError {
    /// More than [`PEM_TEXT_LIMIT`].
    #[error("the PEM text has more than 65536 bytes")]
    TooLong,
    /// More than [`PEM_BLOCK_LIMIT`].
    #[error("the PEM text has more than 16 blocks; the rest is not looked at")]
    TooManyBlocks,
    /// No block at all.
    #[error("there is no PEM block of type CERTIFICATE")]
    NoBlock,
    /// Another type of block.
    #[error("a PEM block of another type than CERTIFICATE")]
    Label,
    /// No end line, or not the one that belongs to the begin line.
    #[error("a PEM block without its end line")]
    Unterminated,
    /// Not base64.
    #[error("a PEM block that is not base64")]
    Base64,
}

/// The certificates (DER) of a PEM text, in its order; a broken block is an error of its own and spoils no other.
///
/// Text between blocks is ignored, as every PEM reader does.
#[must_use]
pub fn certificates_of(text: &str) -> Vec<Result<Vec<u8>, PemError>> {
    if text.len() > PEM_TEXT_LIMIT {
        return vec![Err(PemError::TooLong)];
    }
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(BEGIN) {
        if found.len() == PEM_BLOCK_LIMIT {
            found.push(Err(PemError::TooManyBlocks));
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

/// Reads one block from behind its `BEGIN`; gives back what follows it.
fn block(text: &str) -> (Result<Vec<u8>, PemError>, &str) {
    let Some((label, body)) = text.split_once(DASHES) else { return (Err(PemError::Unterminated), "") };
    // A block without an end must not swallow the next one.
    let body_end = body.find(DASHES).unwrap_or(body.len());
    let (body, after) = body.split_at(body_end);
    let end = format!("-----END {label}-----");
    let Some(after) = after.strip_prefix(end.as_str()) else { return (Err(PemError::Unterminated), after) };
    if label != LABEL {
        return (Err(PemError::Label), after);
    }
    let compact: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    (STANDARD.decode(compact).map_err(|_| PemError::Base64), after)
}

/// A certificate as one PEM block: lines of 64 characters that end in LF.
#[must_use]
pub fn to_pem(der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let mut text = format!("{BEGIN}{LABEL}{DASHES}\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(LINE.min(rest.len()));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text + "-----END " + LABEL + DASHES + "\n"
}

/// SHA-256 of a certificate (DER) in lower-case hex: how people compare certificates.
#[must_use]
pub fn fingerprint(der: &[u8]) -> String {
    digest::digest(&digest::SHA256, der).as_ref().iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: &str = "-----BEGIN CERTIFICATE-----\naGVs\nbG8=\n-----END CERTIFICATE-----\n";

    #[test]
    fn a_broken_block_spoils_no_other() {
        let hello = || Ok(b"hello".to_vec());
        let key = "-----BEGIN PRIVATE KEY-----\naGVsbG8=\n-----END PRIVATE KEY-----\n";
        for (text, expected) in [
            (HELLO.to_owned(), vec![hello()]),
            (format!("# a comment\r\n{}text{HELLO}", HELLO.replace('\n', "\r\n")), vec![hello(), hello()]),
            (String::new(), vec![Err(PemError::NoBlock)]),
            ("-----BEGIN".to_owned(), vec![Err(PemError::NoBlock)]),
            ("-----BEGIN CERTIFICATE".to_owned(), vec![Err(PemError::Unterminated)]),
            (format!("-----BEGIN CERTIFICATE-----\naGVs\n{HELLO}"), vec![Err(PemError::Unterminated), hello()]),
            (format!("{key}{HELLO}"), vec![Err(PemError::Label), hello()]),
            (format!("{}{HELLO}", HELLO.replace("aGVs", "a?Vs")), vec![Err(PemError::Base64), hello()]),
            (HELLO.replace("END CERTIFICATE", "END X"), vec![Err(PemError::Unterminated)]),
        ] {
            assert_eq!(certificates_of(&text), expected, "{text}");
        }
    }

    #[test]
    fn a_text_is_bounded() {
        let many = certificates_of(&HELLO.repeat(PEM_BLOCK_LIMIT + 5));
        assert_eq!(many.len(), PEM_BLOCK_LIMIT + 1);
        assert_eq!(many.last(), Some(&Err(PemError::TooManyBlocks)));
        let long = format!("{HELLO}{}", " ".repeat(PEM_TEXT_LIMIT));
        assert_eq!(certificates_of(&long), vec![Err(PemError::TooLong)]);
    }

    #[test]
    fn what_is_written_is_read() {
        for length in [0_u8, 1, 47, 48, 49, 200] {
            let der: Vec<u8> = (0..length).collect();
            let text = to_pem(&der);
            assert_eq!(certificates_of(&text), vec![Ok(der)]);
            assert!(text.lines().all(|line| line.len() <= LINE));
            assert!(text.ends_with("-----END CERTIFICATE-----\n"));
        }
        assert_eq!(fingerprint(b"hello"), "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
    }
}
