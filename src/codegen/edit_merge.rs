//! Edits that only say what is new, with remarks such as `// ... existing code ...` for what stays. Text cannot decide where
//! they belong; a model can, when it is shown the file.

/// The instructions for a model that is no specialist.
pub const SYSTEM: &str = "You merge an edit into a file. You get the file in <code>, what is wanted in <instruction>, and the \
    edit in <update>, where remarks such as `// ... existing code ...` stand for parts of the file that stay as they are. \
    Answer with the whole file as it is afterwards: every line that the edit does not change, no remark in place of code, no \
    fence, no explanation.";

/// Such an edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeEdit {
    /// What is wanted, in words; may be empty.
    pub instructions: String,
    /// What is new.
    pub update: String,
}

impl MergeEdit {
    /// Reads the text of an edit; `None` where it has nothing to merge.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let update = part(text, "update")?.trim_matches('\n').to_owned();
        if update.trim().is_empty() {
            return None;
        }
        let instructions = part(text, "instructions").or_else(|| part(text, "instruction")).unwrap_or_default();
        Some(Self { instructions: instructions.trim().to_owned(), update })
    }

    /// The same as the text of an edit.
    #[must_use]
    pub fn written(&self) -> String {
        format!("<instructions>{}</instructions>\n<update>\n{}\n</update>", self.instructions, self.update)
    }

    /// What a model is asked. Those made for merging know exactly this form.
    #[must_use]
    pub fn question(&self, code: &str) -> String {
        let Self { instructions, update } = self;
        format!("<instruction>{instructions}</instruction>\n<code>{code}</code>\n<update>{update}</update>")
    }
}

/// The file in a model's answer, without what some put around it. `None`: there is none.
#[must_use]
pub fn merged(answer: &str, original: &str) -> Option<String> {
    let mut text = answer.trim();
    if let Some(inner) = text.strip_prefix("<code>").and_then(|rest| rest.strip_suffix("</code>")) {
        text = inner.trim();
    }
    if let Some((first, rest)) = text.split_once('\n')
        && first.starts_with("```")
        && let Some(inner) = rest.trim_end().strip_suffix("```")
    {
        text = inner.trim_end();
    }
    if text.trim().is_empty() {
        return None;
    }
    let end = if original.ends_with('\n') { "\n" } else { "" };
    Some(format!("{text}{end}"))
}

fn part<'a>(text: &'a str, tag: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{tag}>"))?;
    Some(rest.rsplit_once(&format!("</{tag}>"))?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_is_to_be_merged() {
        let text =
            "\n<instructions>make it blue</instructions>\n<update>\n// ... existing code ...\n  <b/>\n</update>\n";
        let edit = MergeEdit::read(text).expect("an edit");
        assert_eq!(
            (edit.instructions.as_str(), edit.update.as_str()),
            ("make it blue", "// ... existing code ...\n  <b/>")
        );
        assert_eq!(MergeEdit::read(&edit.written()), Some(edit.clone()));
        let asked = "<instruction>make it blue</instruction>\n<code>old</code>\n<update>// ... existing code ...\n  <b/></update>";
        assert_eq!(edit.question("old"), asked);
        for nothing in ["", "words", "<update></update>", "<update>\n \n</update>", "<update>x"] {
            assert_eq!(MergeEdit::read(nothing), None, "{nothing:?}");
        }
        assert_eq!(MergeEdit::read("<update>x</update>").expect("an edit").instructions, "");
    }

    #[test]
    fn takes_the_file_out_of_an_answer() {
        for (answer, original, expected) in [
            ("a\nb", "a\n", Some("a\nb\n")),
            ("a\nb\n", "a", Some("a\nb")),
            ("```jsx\na\n```", "a\n", Some("a\n")),
            ("<code>a</code>", "a", Some("a")),
            ("  \n", "a", None),
            ("```\n```", "a", None),
        ] {
            assert_eq!(merged(answer, original).as_deref(), expected, "{answer:?}");
        }
    }
}
