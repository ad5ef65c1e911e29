//! Reads YAML as JSON values. The only user of the YAML library.

use serde_json::Value;
use thiserror::Error;

/// Why a text is not YAML.
///
/// It quotes nothing of the text: a manifest may be a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("not YAML at line {line}, column {column}: {problem}")]
pub(super) struct Error {
    line: u64,
    column: u64,
    problem: String,
}

/// Reads every document of a YAML stream; documents without content are left out.
///
/// Numbers and booleans are those of YAML 1.2 (`yes` and `on` are text). Duplicate keys are an error.
pub(super) fn documents(text: &str) -> Result<Vec<Value>, Error> {
    // The limits are the library's defaults, except those that ten thousand honest Services would reach.
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 20_000_000,
            max_nodes: 10_000_000,
            max_documents: 200_000,
        },
        strict_booleans: true,
        with_snippet: false,
    };
    serde_saphyr::from_multiple_with_options::<Value>(text, options).map_err(|error| Error {
        line: error.location().map_or(0, |at| at.line()),
        column: error.location().map_or(0, |at| at.column()),
        problem: first_line(&error.to_string()),
    })
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_document_is_read_and_empty_ones_are_left_out() {
        let text = "# comment\n---\na: 1\n---\n---\nnull\n---\nb: [x, 'y']\n...\n---\n# nothing\n";
        assert_eq!(documents(text).unwrap(), [json!({"a": 1}), json!({"b": ["x", "y"]})]);
        assert_eq!(documents("").unwrap(), Vec::<Value>::new());
        assert_eq!(documents(r#"{"a": {"b": null}}"#).unwrap(), [json!({"a": {"b": null}})]);
    }

    #[test]
    fn scalars_are_those_of_yaml_1_2() {
        let text = "{yes: on, port: 80, big: 18446744073709551615, quoted: '80', t: true, empty: '', octal: 0o17}";
        assert_eq!(
            documents(text).unwrap(),
            [json!({"yes": "on", "port": 80, "big": u64::MAX, "quoted": "80", "t": true, "empty": "", "octal": 15})]
        );
    }

    #[test]
    fn block_scalars_keep_their_lines() {
        assert_eq!(documents("pem: |\n  a\n  b\n").unwrap(), [json!({"pem": "a\nb\n"})]);
    }

    #[test]
    fn an_error_says_where_and_shows_nothing_of_the_text() {
        for bad in [
            "a: 1\nsecret: [s3cr3t\n",
            "a: 1\n\tsecret: s3cr3t",
            "secret: s3cr3t\nsecret: s3cr3t\n",
            "a: *s3cr3t\n",
            "s3cr3t: 'x\n",
            "a: !!int s3cr3t\n",
            "a: !!bool s3cr3t\n",
            "a: !!binary s3cr3t*\n",
        ] {
            let error = documents(bad).unwrap_err().to_string();
            assert!(error.starts_with("not YAML at line "), "{error}");
            assert!(!error.contains("s3cr3t"), "{error}");
        }
    }

    #[test]
    fn an_alias_bomb_is_refused() {
        let level = |level: usize| {
            let aliases = [format!("*a{}", level - 1).as_str(); 10].join(", ");
            format!("a{level}: &a{level} [{aliases}]\n")
        };
        let bomb = format!("a0: &a0 [x, x, x, x]\n{}", (1..20).map(level).collect::<String>());
        assert!(documents(&bomb).is_err());
    }
}
