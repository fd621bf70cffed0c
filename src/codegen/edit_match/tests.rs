use super::*;

/// A file most cases edit.
const CARD: &str = "\
import { useState } from \"react\";

export default function Card({ title }) {
  const [open, setOpen] = useState(false);
  return (
    <section className=\"card\">
      <h2>{title}</h2>
      <button onClick={() => setOpen(!open)}>
        {open ? \"Less\" : \"More\"}
      </button>
    </section>
  );
}
";

type Blocks<'a> = &'a [(&'a str, &'a str)];

fn apply(original: &str, blocks: Blocks<'_>) -> Result<String, EditError> {
    let block = |(search, replace): &(&str, &str)| SearchReplace {
        search: (*search).to_owned(),
        replace: (*replace).to_owned(),
    };
    apply_edits(original, &blocks.iter().map(block).collect::<Vec<_>>())
}

/// `expected`: the new text, or what is wrong with which block: `1 not found`, `2 ambiguous 3,7`, `1 empty search`.
#[track_caller]
fn check(name: &str, original: &str, blocks: Blocks<'_>, expected: Result<&str, &str>) {
    let shown = apply(original, blocks).map_err(|error| {
        let failure = |failure: &EditFailure| match &failure.reason {
            EditFailureReason::NotFound { .. } => format!("{} not found", failure.block),
            EditFailureReason::Ambiguous { lines } => {
                let lines: Vec<_> = lines.iter().map(ToString::to_string).collect();
                format!("{} ambiguous {}", failure.block, lines.join(","))
            }
            EditFailureReason::EmptySearch => format!("{} empty search", failure.block),
            EditFailureReason::TooManyBlocks => "too many".to_owned(),
        };
        error.failures.iter().map(failure).collect::<Vec<_>>().join("; ")
    });
    assert_eq!(shown.as_deref().map_err(String::as_str), expected, "{name}");
}

/// As [`check`], on [`CARD`]: the case says what becomes of which text in it.
#[track_caller]
fn check_card(name: &str, block: (&str, &str), from: &str, to: &str) {
    assert_eq!(CARD.matches(from).count(), 1, "{name}: {from:?}");
    check(name, CARD, &[block], Ok(&CARD.replace(from, to)));
}

#[test]
fn exact() {
    check("one line", "a\nb\nc\n", &[("b", "B")], Ok("a\nB\nc\n"));
    check("first line", "a\nb\n", &[("a", "A")], Ok("A\nb\n"));
    check("last line", "a\nb\n", &[("b", "B")], Ok("a\nB\n"));
    check("last line without its end", "a\nb", &[("b", "B")], Ok("a\nB"));
    check("only line", "a", &[("a", "b\nc")], Ok("b\nc"));
    check("several lines", "a\nb\nc\nd\n", &[("b\nc", "x")], Ok("a\nx\nd\n"));
    check("grows", "a\nb\n", &[("a", "a\na2\na3")], Ok("a\na2\na3\nb\n"));
    check("deletes", "a\nb\nc\n", &[("b", "")], Ok("a\nc\n"));
    check("deletes the last line", "a\nb", &[("b", "")], Ok("a\n"));
    check("deletes everything", "a\nb\n", &[("a\nb", "")], Ok(""));
    check("changes nothing", "a\nb\n", &[("a", "a")], Ok("a\nb\n"));
    check("blank line inside", "a\n\nb\n", &[("a\n\nb", "a\nb")], Ok("a\nb\n"));
    check("whole file", CARD, &[(CARD.trim_end(), "new")], Ok("new\n"));
    check("whole line before a part of one", "foobar\nfoo\n", &[("foo", "x")], Ok("foobar\nx\n"));
    check("is not a pattern", "a.c\nabc\n", &[("a.c", "$1\\n")], Ok("$1\\n\nabc\n"));
    check("looks like a marker", "=======\nb\n", &[("=======", "----")], Ok("----\nb\n"));
    check_card("in code", ("      <h2>{title}</h2>", "      <h1>{title}</h1>"), "<h2>{title}</h2>", "<h1>{title}</h1>");
}

#[test]
fn part_of_a_line() {
    check("word in a line", "let a = one;\nlet b = two;\n", &[("one", "three")], Ok("let a = three;\nlet b = two;\n"));
    check("end of a line", "f(a, b)\n", &[("b)", "c)")], Ok("f(a, c)\n"));
    check("removed from a line", "f(a, b)\n", &[(", b", "")], Ok("f(a)\n"));
    check("twice in one line", "f(a, a)\n", &[("a", "b")], Err("1 ambiguous 1,1"));
    check("in two lines", "f(xy)\ng(xy)\n", &[("xy", "b")], Err("1 ambiguous 1,2"));
    check("over two lines is no part", "f(a,\nb)\n", &[("a,\nb", "c")], Err("1 not found"));
}

#[test]
fn trailing_spaces() {
    check("in the file", "a  \nb\t\nc\n", &[("a\nb", "x")], Ok("x\nc\n"));
    check("in the search", "a\nb\nc\n", &[("a \nb  ", "x")], Ok("x\nc\n"));
    check("in a blank line", "a\n  \nb\n", &[("a\n\nb", "a\nb")], Ok("a\nb\n"));
    check("exact first", "a \na\n", &[("a", "x")], Ok("a \nx\n"));
    check("two places", "ab \nx\nab  \n", &[("ab   ", "c")], Err("1 ambiguous 1,3"));
    check("replacement as it is", "a \nb\n", &[("a\nb", "x \ny")], Ok("x \ny\n"));
    check("blank line before", "a\nb\n", &[("\na", "\nx")], Ok("x\nb\n"));
    check("blank lines after", "a\nb\n", &[("a\n\n\n", "x\n\n")], Ok("x\nb\n"));
    check("blank line only in the search", "a\nb\n", &[("\nb\n", "y")], Ok("a\ny\n"));
    check("blank line meant", "a\n\nb\n", &[("a\n", "a\nx\n")], Ok("a\nx\n\nb\n"));
}

#[test]
fn indentation() {
    check_card(
        "search not indented",
        ("<h2>{title}</h2>\n<button onClick={() => setOpen(!open)}>", "<h2>{title}!</h2>\n<button onClick={toggle}>"),
        "<h2>{title}</h2>\n      <button onClick={() => setOpen(!open)}>",
        "<h2>{title}!</h2>\n      <button onClick={toggle}>",
    );
    check_card(
        "search indented too little",
        (
            "<button onClick={() => setOpen(!open)}>\n  {open ? \"Less\" : \"More\"}\n</button>",
            "<b>\n  <i>\n    x\n  </i>\n</b>",
        ),
        "<button onClick={() => setOpen(!open)}>\n        {open ? \"Less\" : \"More\"}\n      </button>",
        "<b>\n        <i>\n          x\n        </i>\n      </b>",
    );
    check_card(
        "search indented too much",
        ("          <h2>{title}</h2>", "          <h1>\n            {title}\n          </h1>"),
        "<h2>{title}</h2>",
        "<h1>\n        {title}\n      </h1>",
    );
    check(
        "tabs for spaces",
        "\tif (a) {\n\t\tb();\n\t}\n",
        &[("  if (a) {\n    b();\n  }", "  if (a) {\n    c();\n    d();\n  }")],
        Ok("\tif (a) {\n\t\tc();\n\t\td();\n\t}\n"),
    );
    check(
        "four for two",
        "  if (a) {\n    b();\n  }\n",
        &[("if (a) {\n    b();\n}", "if (a) {\n    b();\n    c();\n}")],
        Ok("  if (a) {\n    b();\n    c();\n  }\n"),
    );
    check(
        "one line, several for it",
        "    <h1>Hi</h1>\n",
        &[("<h1>Hi</h1>", "<h1>\n  Hi\n</h1>")],
        Ok("    <h1>\n      Hi\n    </h1>\n"),
    );
    check(
        "replacement further out",
        "    a();\n",
        &[("      a();", "    x {\n      a();\n    }")],
        Ok("  x {\n    a();\n  }\n"),
    );
    check("blank lines stay blank", "  a\n\n  b\n", &[("a\n\nb", "x\n\ny")], Ok("  x\n\n  y\n"));
    check("exact first", "  a\na\n", &[("a", "x")], Ok("  a\nx\n"));
    check("two places", "  ab\n    ab\n", &[("ab", "x")], Err("1 ambiguous 1,2"));
    check("two places of several lines", "  a\n  b\n    a\n    b\n", &[("a\nb", "x")], Err("1 ambiguous 1,3"));
    check(
        "shifted alike before shifted anyhow",
        "  a\n      b\nx\n    a\n  b\n",
        &[("a\n    b", "y")],
        Ok("  y\nx\n    a\n  b\n"),
    );
    check("inside only", "f {\n   a;\n}\n", &[("f {\n  a;\n}", "f {\n  a;\n  b;\n}")], Ok("f {\n   a;\n   b;\n}\n"));
}

#[test]
fn duplicates() {
    check("the same line twice", "a\nb\na\n", &[("a", "x")], Err("1 ambiguous 1,3"));
    check("told apart by a neighbour", "a\nb\na\nc\n", &[("a\nc", "x\nc")], Ok("a\nb\nx\nc\n"));
    check("overlapping itself", "a\na\na\n", &[("a\na", "x")], Err("1 ambiguous 1,2"));
    check("a brace", CARD, &[("}", "};")], Ok(&format!("{};\n", CARD.trim_end())));
    check("closed twice", "  }\n  }\n", &[("  }", "x")], Err("1 ambiguous 1,2"));
}

#[test]
fn near_misses() {
    check_card(
        "a forgotten semicolon and another quote",
        (
            "export default function Card({ title }) {\n  const [open, setOpen] = useState(false)\n  return (",
            "export default function Card({ title }) {\n  const [open, setOpen] = useState(true);\n  return (",
        ),
        "useState(false)",
        "useState(true)",
    );
    check_card(
        "another quote, wrong indentation",
        ("<section className='card'>\n  <h2>{title}</h2>", "<section className=\"box\">\n  <h2>{title}</h2>"),
        "className=\"card\"",
        "className=\"box\"",
    );
    check("too different", CARD, &[("const [shown, setShown] = useState(true);", "x")], Err("1 not found"));
    check("too short to be alike", "let a = 1;\n", &[("let b = 1;", "x")], Err("1 not found"));
    check(
        "alike twice",
        "const total = sum(alpha, beta, gamma);\nx\nconst total = sum(alpha, beta, gamme);\n",
        &[("const total = sum(alpha, beta, gammi);", "y")],
        Err("1 ambiguous 1,3"),
    );
    check(
        "a line too many",
        "a = first();\nb = second();\n",
        &[("a = first();\nnever = there();\nb = second();", "x")],
        Err("1 not found"),
    );
    check("longer than the file", "a\n", &[("a\nb\nc", "x")], Err("1 not found"));
    check("empty file", "", &[("a", "x")], Err("1 not found"));
    check(
        "other case",
        "const Alpha = makeTheThing(1, 2, 3);\n",
        &[("const alpha = makeTheThing(1, 2, 3);", "x")],
        Ok("x\n"),
    );
}

#[test]
fn line_ends() {
    check("CRLF kept", "a\r\nb\r\nc\r\n", &[("b", "x\ny")], Ok("a\r\nx\r\ny\r\nc\r\n"));
    check("CRLF in the blocks", "a\nb\n", &[("a\r\nb", "x\r\ny")], Ok("x\ny\n"));
    check("CRLF in both", "a\r\nb\r\n", &[("a\r\nb", "x\r\ny")], Ok("x\r\ny\r\n"));
    check("CRLF, last line without end", "a\r\nb", &[("b", "x\ny")], Ok("a\r\nx\r\ny"));
    check("mixed", "a\r\nb\nc\n", &[("b", "x\ny")], Ok("a\r\nx\ny\nc\n"));
    check("others untouched", "a\nb\r\nc\n", &[("a", "x")], Ok("x\nb\r\nc\n"));
    check("CRLF and indentation", "  a\r\n  b\r\n", &[("a\nb", "x\n  y")], Ok("  x\r\n    y\r\n"));
}

#[test]
fn unicode() {
    check("exact", "größe = \"✓\"\nb\n", &[("größe = \"✓\"", "größe = \"🦀\"")], Ok("größe = \"🦀\"\nb\n"));
    check("part of a line", "<p>日本語テキスト</p>\n", &[("本語", "x")], Ok("<p>日xテキスト</p>\n"));
    check(
        "typographic quotes",
        "say(\"Hello there, dear world\");\n",
        &[("say(“Hello there, dear world”);", "x")],
        Ok("x\n"),
    );
    check(
        "composed and decomposed",
        "const café = openTheDoor(now);\n",
        &[("const cafe\u{301} = openTheDoor(now);", "x")],
        Ok("x\n"),
    );
    check("no-break space as indentation", "\u{a0}\u{a0}a\n", &[("  a", "  b")], Ok("\u{a0}\u{a0}b\n"));
}

#[test]
fn empty_searches() {
    check("fills an empty file", "", &[("", "a\nb")], Ok("a\nb\n"));
    check("fills a blank file", "\n\n", &[("", "a")], Ok("a\n"));
    check("fills nothing else", "a\n", &[("", "b")], Err("1 empty search"));
    check("blank is empty", "a\n\nb\n", &[("\n", "b")], Err("1 empty search"));
    check("nothing for nothing", "", &[("", "")], Ok(""));
}

#[test]
fn several_blocks() {
    check("in order", "a\nb\nc\n", &[("a", "x"), ("c", "z")], Ok("x\nb\nz\n"));
    check("out of order", "a\nb\nc\n", &[("c", "z"), ("a", "x")], Ok("x\nb\nz\n"));
    check("adjacent", "a\nb\nc\nd\n", &[("a\nb", "x"), ("c\nd", "y")], Ok("x\ny\n"));
    check("overlapping in a line that stays", "a\nb\nc\n", &[("a\nb", "x\nb"), ("b\nc", "b\nz")], Ok("x\nb\nz\n"));
    check("overlapping in a line that goes", "a\nb\nc\n", &[("a\nb", "x"), ("b\nc", "z")], Err("2 not found"));
    check("the second builds on the first", "a\n", &[("a", "b"), ("b", "c")], Ok("c\n"));
    check("the first makes the second ambiguous", "a\nb\n", &[("a", "b"), ("b", "c")], Err("2 ambiguous 1,2"));
    check("all or nothing", "a\nb\n", &[("a", "x"), ("nope", "y")], Err("2 not found"));
    check(
        "every failure is told",
        "a\nb\na\n",
        &[("nope", "x"), ("b", "c"), ("a", "y")],
        Err("1 not found; 3 ambiguous 1,3"),
    );
    check("none", "a\n", &[], Ok("a\n"));
    check("too many", "a\n", &[("a", "a"); EDIT_BLOCKS_MAX + 1], Err("too many"));
}

#[test]
fn shows_the_nearest_lines() {
    let nearest = |search: &str| {
        let error = apply(CARD, &[(search, "x")]).expect_err("no match");
        match error.failures.into_iter().next().map(|failure| failure.reason) {
            Some(EditFailureReason::NotFound { nearest }) => nearest,
            other => panic!("{other:?}"),
        }
    };
    let found = nearest("<h2>{title}</h2>\n<p>never there</p>\n</section>").expect("shares lines");
    assert_eq!(found.line, 3);
    assert!(found.text.starts_with("export default") && found.text.contains("<h2>{title}</h2>"), "{}", found.text);
    let found = nearest("  const [isOpen, setIsOpen] = useState(true);").expect("alike");
    assert!(found.text.contains("const [open, setOpen]"), "{}", found.text);
    assert_eq!(nearest("zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"), None);
    let long = vec!["<h2>{title}</h2>"; 60].join("\n");
    assert!(nearest(&long).is_some_and(|found| found.text.lines().count() <= NEAREST_LINES_MAX));
}
