//! PEM text, read strictly and without ever quoting it: it may be a private key.

/// Why a text is not usable PEM. Holds nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// No `-----BEGIN` at all.
    #[error("it is not PEM (no \"-----BEGIN\" line)")]
    NotPem,
    /// There is a block that cannot be decoded, or that does not end.
    #[error("its PEM is damaged (a block does not end, or is not base64)")]
    Damaged,
    /// Longer than it can be.
    #[error("it is longer than {0} bytes")]
    TooLong(usize),
}

/// All PEM blocks of `text` with any label, at least one. Text around the blocks is ignored, as everywhere.
pub(super) fn blocks(text: &str, limit: usize) -> Result<Vec<pem::Pem>, PemError> {
    if text.len() > limit {
        return Err(PemError::TooLong(limit));
    }
    let begun = text.matches("-----BEGIN ").count();
    if begun == 0 {
        return Err(PemError::NotPem);
    }
    // The parser's own errors quote lines of the text, and it skips a last block that does not end.
    match pem::parse_many(text) {
        Ok(found) if found.len() == begun => Ok(found),
        _ => Err(PemError::Damaged),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_counts() {
        let block = "-----BEGIN A-----\nAAAA\n-----END A-----\n";
        assert_eq!(blocks(block, 100).map(|all| all.len()), Ok(1));
        assert_eq!(blocks(&format!("# a comment\n{block}\n{block}"), 200).map(|all| all.len()), Ok(2));
        for (text, error) in [
            ("", PemError::NotPem),
            ("MCow", PemError::NotPem),
            ("-----BEGIN A-----\nAAAA\n", PemError::Damaged),
            ("-----BEGIN A-----\nA*AA\n-----END A-----\n", PemError::Damaged),
            ("-----BEGIN A-----\nAAAA\n-----END B-----\n", PemError::Damaged),
            ("-----BEGIN A-----\nAAAA\n-----END A-----\n-----BEGIN A-----\nAAAA\n", PemError::Damaged),
            (&"x".repeat(101), PemError::TooLong(100)),
        ] {
            assert_eq!(blocks(text, 100), Err(error), "{text}");
        }
    }
}
