//! Paths in a source file: enough of Rust's syntax to distinguish `std::fs` from a comment about it.

use std::collections::BTreeMap;

/// A path in code, resolved with the imports of its file: `crate::hook::Input`, `std::time::*`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Named {
    /// Line, from 1.
    pub(crate) line: usize,
    /// Segments joined by `::`; ends with `*` for a glob import.
    pub(crate) path: String,
}

impl Named {
    /// Whether this reaches `target` or something in it.
    pub(crate) fn reaches(&self, target: &str) -> bool {
        let within = |inner: &str, outer: &str| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        within(&self.path, target) || self.path.strip_suffix("::*").is_some_and(|base| within(target, base))
    }
}

/// All paths in `source`, outside of items under `#[cfg(test)]`. `module` is the file's module: `["crate", "hook"]`.
pub(crate) fn named(source: &str, module: &[&str]) -> Vec<Named> {
    let tokens = without_tests(&lex(source));
    let mut found = Vec::new();
    // Imports of the file. Scopes are ignored: an import counts in the whole file.
    let mut names = BTreeMap::new();
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at].1 {
            Token::Word(word) if word == "use" => {
                at += 1;
                let mut leaves = Vec::new();
                use_tree(&tokens, &mut at, &[], &mut leaves);
                for (line, path, name) in leaves {
                    let path = resolve(&path, module, &BTreeMap::new());
                    names.insert(name, path.clone());
                    found.push((line, path));
                }
            }
            Token::Word(_) if at == 0 || tokens[at - 1].1 != Token::Mark('.') => {
                let line = tokens[at].0;
                let path = plain_path(&tokens, &mut at);
                // `self` alone is a value.
                if path != ["self"] {
                    found.push((line, path));
                }
            }
            _ => at += 1,
        }
    }
    found
        .into_iter()
        .map(|(line, path)| Named { line, path: resolve(&path, module, &names).join("::") })
        .filter(|named| named.path.contains("::"))
        .collect()
}

/// Resolves `crate`, `self`, `super` and imported names.
fn resolve(path: &[String], module: &[&str], names: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let mut base: Vec<String> = module.iter().map(ToString::to_string).collect();
    let mut rest = path;
    match path.first().map(String::as_str) {
        Some("crate") => return path.to_vec(),
        Some("self") => rest = &path[1..],
        Some("super") => {
            while rest.first().is_some_and(|segment| segment == "super") {
                base.pop();
                rest = &rest[1..];
            }
        }
        Some(name) => match names.get(name) {
            Some(full) => {
                base.clone_from(full);
                rest = &path[1..];
            }
            None => return path.to_vec(),
        },
        None => return Vec::new(),
    }
    base.extend_from_slice(rest);
    base
}

/// Reads `a::b::c` at `at`.
fn plain_path(tokens: &[(usize, Token)], at: &mut usize) -> Vec<String> {
    let mut path = Vec::new();
    while let Some((_, Token::Word(word))) = tokens.get(*at) {
        path.push(word.clone());
        *at += 1;
        if !matches!((tokens.get(*at), tokens.get(*at + 1)), (Some((_, Token::Path)), Some((_, Token::Word(_))))) {
            break;
        }
        *at += 1;
    }
    path
}

/// The leaves of a `use` tree, each with the name that it brings into the file.
fn use_tree(
    tokens: &[(usize, Token)],
    at: &mut usize,
    prefix: &[String],
    leaves: &mut Vec<(usize, Vec<String>, String)>,
) {
    let mut path = prefix.to_vec();
    while let Some((line, token)) = tokens.get(*at) {
        match token {
            Token::Path => *at += 1,
            Token::Mark('{') => {
                *at += 1;
                while !matches!(tokens.get(*at), None | Some((_, Token::Mark('}')))) {
                    use_tree(tokens, at, &path, leaves);
                    if let Some((_, Token::Mark(','))) = tokens.get(*at) {
                        *at += 1;
                    }
                }
                *at += 1;
                return;
            }
            Token::Mark('*') => {
                *at += 1;
                path.push("*".to_owned());
                leaves.push((*line, path, "*".to_owned()));
                return;
            }
            Token::Word(word) => {
                *at += 1;
                // `use a::{self}` is `use a`.
                if word != "self" || path.is_empty() {
                    path.push(word.clone());
                }
                if let Some((_, Token::Path)) = tokens.get(*at) {
                    continue;
                }
                let mut name = path.last().cloned().unwrap_or_default();
                if let (Some((_, Token::Word(word))), Some((_, Token::Word(alias)))) =
                    (tokens.get(*at), tokens.get(*at + 1))
                    && word == "as"
                {
                    name.clone_from(alias);
                    *at += 2;
                }
                leaves.push((*line, path, name));
                return;
            }
            Token::Mark(_) => {
                *at += 1;
                return;
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Path,
    Mark(char),
}

/// Words, `::` and marks with their lines, without comments, literals and lifetimes.
fn lex(source: &str) -> Vec<(usize, Token)> {
    let text: Vec<char> = source.chars().collect();
    let get = |at: usize| text.get(at).copied().unwrap_or('\0');
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let (mut tokens, mut at, mut line) = (Vec::new(), 0, 1);
    while at < text.len() {
        let start = at;
        match get(at) {
            '/' if get(at + 1) == '/' => at = skip_to(&text, at, "\n"),
            '/' if get(at + 1) == '*' => at = skip_block_comment(&text, at),
            '"' => at = skip_string(&text, at),
            // A lifetime has no closing quote; a character has, two places on, or is escaped.
            '\'' if get(at + 1) == '\\' => at = skip_to(&text, at + 3, "'") + 1,
            '\'' if get(at + 2) == '\'' => at += 3,
            '\'' => {
                at += 1;
                while word(get(at)) {
                    at += 1;
                }
            }
            ':' if get(at + 1) == ':' => {
                tokens.push((line, Token::Path));
                at += 2;
            }
            c if word(c) => {
                while word(get(at)) {
                    at += 1;
                }
                let found: String = text[start..at].iter().collect();
                let hashes = text[at..].iter().take_while(|c| **c == '#').count();
                match found.as_str() {
                    "r" | "br" | "cr" if get(at + hashes) == '"' => {
                        let end = format!("\"{}", "#".repeat(hashes));
                        at = skip_to(&text, at + hashes + 1, &end) + end.len();
                    }
                    // A raw name: its word comes next.
                    "r" if hashes == 1 => at += 1,
                    _ if found.starts_with(|c: char| c.is_numeric()) => {}
                    _ => tokens.push((line, Token::Word(found))),
                }
            }
            c if c.is_whitespace() => at += 1,
            c => {
                tokens.push((line, Token::Mark(c)));
                at += 1;
            }
        }
        at = at.min(text.len());
        line += text[start..at].iter().filter(|c| **c == '\n').count();
    }
    tokens
}

/// Position of `end`, or the end of the text.
fn skip_to(text: &[char], from: usize, end: &str) -> usize {
    let end: Vec<char> = end.chars().collect();
    (from..text.len()).find(|at| text[*at..].starts_with(&end)).unwrap_or(text.len())
}

fn skip_string(text: &[char], from: usize) -> usize {
    let mut at = from + 1;
    while at < text.len() && text[at] != '"' {
        at += if text[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

fn skip_block_comment(text: &[char], from: usize) -> usize {
    let (mut at, mut depth) = (from, 0);
    while at < text.len() {
        match text[at..] {
            ['/', '*', ..] => (at, depth) = (at + 2, depth + 1),
            ['*', '/', ..] => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// Removes every item under `#[cfg(test)]`.
fn without_tests(tokens: &[(usize, Token)]) -> Vec<(usize, Token)> {
    let word = |text: &str| Token::Word(text.to_owned());
    let mark = Token::Mark;
    let attribute = [mark('#'), mark('['), word("cfg"), mark('('), word("test"), mark(')'), mark(']')];
    let mut kept = Vec::new();
    let mut rest = tokens;
    while let [first, ..] = rest {
        if rest.len() >= attribute.len() && rest.iter().zip(&attribute).all(|(token, expected)| token.1 == *expected) {
            rest = &rest[attribute.len()..];
            rest = &rest[item_length(rest)..];
        } else {
            kept.push(first.clone());
            rest = &rest[1..];
        }
    }
    kept
}

/// Number of tokens of an item: up to its `;`, or the end of its braces.
fn item_length(tokens: &[(usize, Token)]) -> usize {
    let mut depth = 0_usize;
    for (index, (_, token)) in tokens.iter().enumerate() {
        match token {
            Token::Mark('{' | '(' | '[') => depth += 1,
            Token::Mark(close @ ('}' | ')' | ']')) => {
                depth = depth.saturating_sub(1);
                if depth == 0 && *close == '}' {
                    return index + 1;
                }
            }
            Token::Mark(';') if depth == 0 => return index + 1,
            _ => {}
        }
    }
    tokens.len()
}
