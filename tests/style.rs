//! Checks the wording: the phrases that `STYLE.md` replaces are nowhere in the tree.
#![allow(clippy::panic, clippy::unwrap_used, reason = "clippy knows tests, but not what they call")]

use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// Phrases without an innocent reading, and what to write instead.
const PHRASES: &[(&str, &str)] = &[
    ("any more", "no longer, not"),
    ("for ever", "forever"),
    ("in vain", "without effect, unused"),
    ("beside", "next to, in addition to"),
    ("what came of", "the result of"),
    ("what comes of", "the result of"),
    ("what became of", "the result of"),
    ("what becomes of", "the result of"),
    ("what is known", "a noun: the cluster view, the last state"),
    ("told apart", "distinguished"),
    ("tell apart", "distinguish"),
    ("tells apart", "distinguishes"),
    ("that is none", "invalid, not a"),
    ("that are none", "invalid, not"),
    ("which is none", "invalid, not a"),
    ("that is not one", "invalid, not a"),
    ("who does", "name the actor"),
];

/// Sentences that were replaced and do not come back.
const SENTENCES: &[&str] = &[
    "has stopped to list",
    "does not allow to sign certificates",
    "belong into intermediateCAs",
    "publish a CA without, it is confined here anyway",
    "is not two dates from 1970 on",
    "of those the ones that begin earliest are taken",
    "the peer's key is not one",
    "the peer's key does not enter the gate",
    "does not claim to be complete",
    "more not: refused",
    "what is kept of the peer would take",
    "or it knows another key or UUID of ours",
    "delete them that the module is released to",
    "Whom does the module alert?",
    "The peers do not choose: what the user wrote decides",
    "now well and now not",
    "What judging a peer's answers needs besides the answers",
    "much less time than every peer has and the time did not do",
    "so its hosts go as they go with the IstioFederation itself",
    "what a stranger may cost us before and while a request is answered",
    "what goes makes room first",
    "because of a DaemonSet Kubernetes cannot take shares",
    "is an error, where it meant",
];

/// These quote the phrases.
const EXEMPT: [&str; 2] = ["STYLE.md", "tests/style.rs"];
/// What people read and write here; documents in Russian are not looked at.
const KINDS: [&str; 7] = [".rs", ".md", ".yaml", ".toml", ".tpl", ".sh", "Makefile"];

fn texts() -> Vec<(String, String)> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let listed = Command::new("git").current_dir(&root).args(["ls-files", "-z"]).output().unwrap();
    assert!(listed.status.success(), "this test needs git: {}", String::from_utf8_lossy(&listed.stderr));
    let paths = String::from_utf8(listed.stdout).unwrap();
    let is_ours = |path: &&str| {
        KINDS.iter().any(|kind| path.ends_with(kind)) && !path.ends_with(".ru.md") && !EXEMPT.contains(path)
    };
    let texts = paths.split_terminator('\0').filter(is_ours);
    texts.filter_map(|path| Some((path.to_owned(), fs::read_to_string(root.join(path)).ok()?))).collect()
}

/// The words of a text in one line, without the marks of comments, in lower case.
fn words(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let line = line.trim_start();
        let marks = ["///", "//!", "//", "#", "* ", "- "];
        marks.iter().find_map(|mark| line.strip_prefix(mark)).unwrap_or(line)
    });
    lines.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ").to_lowercase()
}

/// Where a phrase stands as whole words: the words around it.
fn found<'a>(words: &'a str, phrase: &str) -> Option<&'a str> {
    let phrase = phrase.to_lowercase();
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '\'';
    let (at, _) = words.match_indices(&phrase).find(|(at, found)| {
        let (before, after) = (&words[..*at], &words[at + found.len()..]);
        !before.ends_with(is_word) && !after.starts_with(is_word)
    })?;
    let start = words[..at].char_indices().rev().nth(40).map_or(0, |(start, _)| start);
    let end = words[at..].char_indices().nth(60).map_or(words.len(), |(length, _)| at + length);
    Some(&words[start..end])
}

#[test]
fn no_phrase_of_the_left_columns_stands_in_the_tree() {
    let texts = texts();
    assert!(texts.len() > 200, "only {} files", texts.len());
    let mut places = Vec::new();
    for (path, text) in &texts {
        let words = words(text);
        for (phrase, instead) in PHRASES.iter().copied().chain(SENTENCES.iter().map(|sentence| (*sentence, "STYLE.md")))
        {
            if let Some(context) = found(&words, phrase) {
                places.push(format!("{path}: \"{phrase}\" ({instead}): ...{context}..."));
            }
        }
    }
    assert!(places.is_empty(), "STYLE.md says how else:\n{}", places.join("\n"));
}

#[test]
fn a_phrase_is_found_across_lines_and_as_whole_words() {
    let text = words("/// It is not there any\n    /// more, besides.\nfn not_for_ever() {}\n");
    assert!(found(&text, "any more").is_some());
    for phrase in ["beside", "for ever"] {
        assert_eq!(found(&text, phrase), None);
    }
}
