use proptest::prelude::*;

use super::*;

/// The events of a reply that arrives in these pieces, adjacent texts joined.
fn parse<'a>(pieces: impl IntoIterator<Item = &'a str>) -> Vec<ReplyEvent> {
    let mut parser = ReplyParser::new();
    let mut out = Vec::new();
    let mut all: Vec<ReplyEvent> = Vec::new();
    let join = |out: &mut Vec<ReplyEvent>, all: &mut Vec<ReplyEvent>| {
        for event in out.drain(..) {
            match (all.last_mut(), event) {
                (Some(ReplyEvent::Text(last)), ReplyEvent::Text(next))
                | (Some(ReplyEvent::FileText(last)), ReplyEvent::FileText(next)) => last.push_str(&next),
                (_, event) => all.push(event),
            }
        }
    };
    for piece in pieces {
        parser.push(piece, &mut out);
        join(&mut out, &mut all);
    }
    parser.finish(&mut out);
    join(&mut out, &mut all);
    all
}

fn chars(reply: &str) -> impl Iterator<Item = &str> {
    reply.char_indices().map(|(at, c)| &reply[at..at + c.len_utf8()])
}

/// One line per event, so that a table stays readable.
fn show(events: &[ReplyEvent]) -> String {
    let line = |event: &ReplyEvent| match event {
        ReplyEvent::Text(text) => format!("text {text:?}"),
        ReplyEvent::FileStarted { path, kind: ReplyFileKind::Whole } => format!("file {path}"),
        ReplyEvent::FileStarted { path, kind: ReplyFileKind::Edit } => format!("edit {path}"),
        ReplyEvent::FileText(text) => format!("  {text:?}"),
        ReplyEvent::FileFinished => "done".to_owned(),
        ReplyEvent::FileCut => "cut".to_owned(),
        ReplyEvent::Package(name) => format!("package {name}"),
        ReplyEvent::Command(line) => format!("command {line}"),
        ReplyEvent::Block(kind, text) => format!("{kind:?} {text:?}"),
        ReplyEvent::LimitReached(limit) => format!("limit {limit:?}"),
    };
    events.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn check(reply: &str, expected: &[&str]) {
    assert_eq!(show(&parse([reply])), expected.join("\n"), "whole: {reply}");
    assert_eq!(show(&parse(chars(reply))), expected.join("\n"), "by character: {reply}");
    for (at, _) in reply.char_indices() {
        let (left, right) = reply.split_at(at);
        assert_eq!(show(&parse([left, right])), expected.join("\n"), "cut before {right:?}");
    }
}

#[test]
fn reads_files_and_prose() {
    check("Hello, world", &[r#"text "Hello, world""#]);
    check("", &[]);
    check(" \n ", &[]);
    check(
        "Here it is:\n\n<file path=\"src/App.jsx\">\nexport default 1\n</file>\n\nEnjoy!\n",
        &[r#"text "Here it is:""#, "file src/App.jsx", r#"  "export default 1""#, "done", r#"text "Enjoy!""#],
    );
    check("<file path='a'>x</file>", &["file a", r#"  "x""#, "done"]);
    check("<file\n\tpath = \"a b\"\n>x</file >", &["file a b", r#"  "x""#, "done"]);
    check("<file lang=\"j>s\" path=\"a\" done>x</file>", &["file a", r#"  "x""#, "done"]);
    check("<file path=a.js>x</file>", &["file a.js", r#"  "x""#, "done"]);
    check("<file path=\"\">x</file>", &["file ", r#"  "x""#, "done"]);
    check("<file path=\"a\">  </file>", &["file a", "done"]);
    check("<file path=\"a\">ü\n\n  ✓ \n</file>", &["file a", "  \"ü\\n\\n  ✓\"", "done"]);
    check(
        "<edit path=\"a\">\n<<<<<<< SEARCH\nx\n=======\n<y>\n>>>>>>> REPLACE\n</edit>",
        &["edit a", r#"  "<<<<<<< SEARCH\nx\n=======\n<y>\n>>>>>>> REPLACE""#, "done"],
    );
    check("<edit target_file=\"a\">x</edit>", &["edit a", r#"  "x""#, "done"]);
}

#[test]
fn leaves_code_alone() {
    let code = "<div><files></files><p>{a < b}</p></div></fil>`\n```\n<package>p</package></edit>";
    check(&format!("<file path=\"a\">{code}</file>"), &["file a", &format!("  {code:?}"), "done"]);
    check(
        "a < b, a <b> c, <files path=\"x\">, <file>, `<x>`",
        &[r#"text "a < b, a <b> c, <files path=\"x\">, <file>, `<x>`""#],
    );
}

#[test]
fn an_unclosed_file_ends_at_the_next_one() {
    check(
        "<file path=\"a\">\none\n\n<file path=\"b\">two</file>",
        &["file a", r#"  "one""#, "cut", "file b", r#"  "two""#, "done"],
    );
    check(
        "<file path=\"a\">one<edit path=\"b\">two</edit>",
        &["file a", r#"  "one""#, "cut", "edit b", r#"  "two""#, "done"],
    );
    check("<file path=\"a\">one", &["file a", r#"  "one""#, "cut"]);
    check("<file path=\"a\">", &["file a", "cut"]);
    check("<file path=\"a\">one</file", &["file a", r#"  "one""#, "cut"]);
    check(
        "```jsx:a.jsx\none\n<file path=\"b\">two</file>",
        &["file a.jsx", r#"  "one""#, "cut", "file b", r#"  "two""#, "done"],
    );
}

#[test]
fn tags_never_leak_into_the_prose() {
    check("one <file path=\"a", &[r#"text "one""#]);
    check("one <", &[r#"text "one""#]);
    check("one </fi", &[r#"text "one""#]);
    check("one <pack", &[r#"text "one""#]);
    check("one</file> two", &[r#"text "one two""#]);
    check("one<file path=\"a\"/> two", &[r#"text "one two""#]);
    check("one <package>two", &[r#"text "one two""#]);
    check("<command>npm run x\n<file path=\"a\">b</file>", &[r#"text "npm run x""#, "file a", r#"  "b""#, "done"]);
}

#[test]
fn reads_packages_commands_and_blocks_in_order() {
    check(
        "<packages>\n a, b\n\nc@1\n</packages><package> @s/d </package>\n<command>npm run\n build</command><packages>e</packages><package></package>",
        &["package a", "package b", "package c@1", "package @s/d", "command npm run\n build", "package e"],
    );
    check("See:\n<package>a</package>\nnext", &[r#"text "See:""#, "package a", r#"text "\n\nnext""#]);
}

#[test]
fn passes_blocks_through() {
    check(
        "<explanation>\n I <b>did</b> it \n</explanation><structure>s</structure><template>vite</template>",
        &[r#"Explanation "I <b>did</b> it""#, r#"Structure "s""#, r#"Template "vite""#],
    );
    check("```vue\n<template>x</template>\n```", &[r#"text "```vue\n<template>x</template>\n```""#]);
}

#[test]
fn reads_every_fence_that_names_a_file() {
    for info in ["jsx:a/b.jsx", ":a/b.jsx", "path=\"a/b.jsx\"", "file path=\"a/b.jsx\"", "jsx path='a/b.jsx'"] {
        check(
            &format!("Text\n```{info}\ncode ``` `x`\n  ```\nmore"),
            &[r#"text "Text""#, "file a/b.jsx", r#"  "code ``` `x`""#, "done", r#"text "more""#],
        );
    }
    check("````md:a.md\n```js\nx\n```\n````", &["file a.md", r#"  "```js\nx\n```""#, "done"]);
    check("```js:a.js\r\nx\r\n```\r\n", &["file a.js", r#"  "x""#, "done"]);
    check("```js:a.js\nx", &["file a.js", r#"  "x""#, "cut"]);
    check("```js:a.js\nx\n```", &["file a.js", r#"  "x""#, "done"]);
    check("```js:a.js\nx\n``", &["file a.js", r#"  "x\n``""#, "cut"]);
    check("```jsx\n// File: src/x.jsx\ny\n```", &["file src/x.jsx", r#"  "// File: src/x.jsx\ny""#, "done"]);
    check(
        "```\n\n//Component: Button.jsx\ny\n```",
        &["file src/components/Button.jsx", r#"  "//Component: Button.jsx\ny""#, "done"],
    );
}

#[test]
fn a_plain_fence_is_prose() {
    check(
        "a\n```js\nlet x = `1`;\n// no\n```\nb\n```\nc\n```",
        &[r#"text "a\n```js\nlet x = `1`;\n// no\n```\nb\n```\nc\n```""#],
    );
    check("```js\n// note\n```", &[r#"text "```js\n// note\n```""#]);
    check("```http://x.y\nz\n```", &[r#"text "```http://x.y\nz\n```""#]);
    check("a ```js:b.js\nc", &[r#"text "a ```js:b.js\nc""#]);
    check("``` `a` ```", &[r#"text "``` `a` ```""#]);
}

#[test]
fn a_fence_around_the_reply_vanishes() {
    check(
        "Sure.\n```xml\n<file path=\"a\">b</file>\n<file path=\"c\">d</file>\n```\nDone.",
        &[r#"text "Sure.""#, "file a", r#"  "b""#, "done", "file c", r#"  "d""#, "done", r#"text "Done.""#],
    );
}

#[test]
fn a_file_is_passed_on_while_it_is_typed() {
    let mut parser = ReplyParser::new();
    let mut pushed = |delta: &str| {
        let mut out = Vec::new();
        parser.push(delta, &mut out);
        show(&out)
    };
    assert_eq!(pushed("Hi the"), r#"text "Hi the""#);
    assert_eq!(pushed("re \n<file path=\"a\">"), "text \"re\"\nfile a");
    assert_eq!(pushed("\n<di"), r#"  "<di""#);
    assert_eq!(pushed("v>\n"), r#"  "v>""#);
    assert_eq!(pushed("x</fi"), r#"  "\nx""#);
    assert_eq!(pushed("le"), "");
    assert_eq!(pushed(">"), "done");
}

#[test]
fn limits_end_the_reply() {
    let long = format!("<file path=\"a\">{}", "x".repeat(REPLY_SIZE_BYTES_MAX));
    let events = parse([long.as_str(), "more</file>"]);
    assert_eq!(events[2..], [ReplyEvent::FileCut, ReplyEvent::LimitReached(ReplyLimit::Size)]);

    let many = "<file path=\"a\">b</file>".repeat(REPLY_FILES_MAX + 1);
    let events = parse([many.as_str()]);
    assert_eq!(events.len(), 3 * REPLY_FILES_MAX + 1);
    assert_eq!(events.last(), Some(&ReplyEvent::LimitReached(ReplyLimit::Files)));

    let many = format!("<packages>{}</packages> text", "a,".repeat(REPLY_STEPS_MAX + 1));
    let events = parse([many.as_str()]);
    assert_eq!(events.len(), REPLY_STEPS_MAX + 1);
    assert_eq!(events.last(), Some(&ReplyEvent::LimitReached(ReplyLimit::Steps)));
}

#[test]
fn what_is_too_long_for_a_mark_is_text() {
    let tag = format!("<file path=\"{}\">x</file>", "a".repeat(3000));
    assert!(matches!(parse([tag.as_str()]).as_slice(), [ReplyEvent::Text(text)] if text.starts_with("<file path")));
    assert_eq!(parse([tag.as_str()]), parse(chars(&tag)));
    let block = format!("<command>{}é</command>", "a".repeat(BLOCK_SIZE_BYTES_MAX - 1));
    assert!(matches!(parse([block.as_str()]).as_slice(), [ReplyEvent::Text(text)] if text.ends_with("aé")));
    assert_eq!(parse([block.as_str()]), parse(chars(&block)));
    let fence = format!("```{}\n// File: a/b\n```", " ".repeat(2100));
    assert_eq!(parse([fence.as_str()]), parse(chars(&fence)));
}

/// What replies are made of, and what they break into.
fn fragment() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "<file path=\"src/App.jsx\">",
        "<file path='b.css' x>",
        "<file>",
        "</file>",
        "<edit path=\"c\">",
        "</edit>",
        "<fil",
        "<",
        "</",
        ">",
        "\"",
        "```",
        "````",
        "`",
        "```jsx:src/D.jsx\n",
        "```path=\"e.js\"\n",
        "```js\n",
        "\n```\n",
        "// File: f/g.js\n",
        "// Component: H.jsx",
        "<package>",
        "</package>",
        "<packages>",
        "</packages>",
        "<command>",
        "</command>",
        "<explanation>",
        "</explanation>",
        "<template>",
        "</template>",
        "<<<<<<< SEARCH\n",
        "=======\n",
        ">>>>>>> REPLACE\n",
        "\n",
        " ",
        "\t",
        "\r\n",
        "\u{a0}",
        "ü✓🦀",
        "text",
        "a, b",
    ]);
    prop_oneof![9 => known.prop_map(str::to_owned), 1 => "\\PC{0,4}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_cut_does_not_matter(fragments in prop::collection::vec(fragment(), 0..24), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6)) {
        let reply = fragments.concat();
        let whole = show(&parse([reply.as_str()]));
        prop_assert_eq!(&whole, &show(&parse(chars(&reply))));
        let mut at: Vec<usize> = cuts.iter().map(|cut| reply.floor_char_boundary(cut.index(reply.len() + 1))).collect();
        at.extend([0, reply.len()]);
        at.sort_unstable();
        prop_assert_eq!(&whole, &show(&parse(at.windows(2).map(|pair| &reply[pair[0]..pair[1]]))));
    }
}
