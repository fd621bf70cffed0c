//! Reasoning that comes inside the answer. Servers that do not know a model's habits (vLLM without a reasoning parser, LM
//! Studio, Groq's raw format) pass on what the model writes: `<think>…</think>`, then the answer. It is no part of the
//! answer: files sketched in there must not be written.
//!
//! Some models' templates put `<think>` into the prompt, so that only its end is in the answer. Which do is known by name
//! alone; their answers are taken for reasoning from the beginning.

use crate::project::model_provider::ModelChunk;

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// Parts of the names of models whose prompt ends in `<think>`: DeepSeek R1 and what was distilled from it, QwQ, and those
/// of Qwen that always think.
const BEGUN_BY_PROMPT: [&str; 4] = ["deepseek-r1", "r1-distill", "qwq", "-thinking"];
/// Most bytes of reasoning without an end that may turn out to be the answer.
const DOUBTFUL_SIZE_BYTES_MAX: usize = 1024 * 1024;
/// How an answer begins a file.
const FILE_TAGS: [&str; 2] = ["<file", "<edit"];

/// Tells reasoning from answer, piece by piece. Only an answer that begins with the tag is looked into, or one whose prompt
/// did.
#[derive(Debug, Default)]
pub(super) struct ThinkTags {
    state: State,
    /// What went out as reasoning only because the model is one of those, and the server may have taken the reasoning out:
    /// then it is the answer. `None`: there is no doubt.
    doubtful: Option<String>,
    /// The server has told reasoning from answer itself.
    apart: bool,
    /// What may be the beginning of a tag, or blanks around one.
    held: String,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing but blanks so far.
    #[default]
    Start,
    /// Between the tags.
    Inside,
    /// Behind them; blanks up to the answer are nobody's.
    Behind,
    /// The rest is answer.
    Answer,
}

impl ThinkTags {
    /// Which model answers: as it was asked for, or as the server calls it. Before the first piece.
    pub(super) fn answer_of(&mut self, model: &str) {
        let model = model.to_ascii_lowercase();
        if self.state == State::Start && !self.apart && BEGUN_BY_PROMPT.iter().any(|part| model.contains(part)) {
            self.doubtful = Some(String::new());
        }
    }

    /// Whether there was something but blanks. Which model it is no longer counts then.
    pub(super) const fn has_begun(&self) -> bool {
        !matches!(self.state, State::Start)
    }

    /// The server tells reasoning from answer by itself.
    pub(super) fn told_apart(&mut self) {
        self.apart = true;
        if self.state == State::Start {
            self.doubtful = None;
        }
    }

    /// The next piece of the content.
    pub(super) fn push(&mut self, text: String, out: &mut Vec<ModelChunk>) {
        if self.state == State::Answer {
            out.push(ModelChunk::Text(text));
            return;
        }
        self.held.push_str(&text);
        while self.step(out) {}
    }

    /// The content is over; `complete`: the model was done. Cut off, doubtful text is the answer where it writes files: so
    /// far into its reasoning, a model sketches, and an answer that is lost cannot be continued.
    pub(super) fn finish(&mut self, complete: bool, out: &mut Vec<ModelChunk>) {
        let held = std::mem::take(&mut self.held);
        if let (State::Inside, Some(doubtful)) = (self.state, self.doubtful.take())
            && (complete || FILE_TAGS.iter().any(|tag| doubtful.contains(tag)))
        {
            out.push(ModelChunk::Text(doubtful + &held));
            return;
        }
        match self.state {
            _ if held.is_empty() => {}
            State::Inside => out.push(ModelChunk::Reasoning(held)),
            State::Start | State::Answer => out.push(ModelChunk::Text(held)),
            State::Behind => {}
        }
    }

    /// Decides what can be decided; true when there may be more.
    fn step(&mut self, out: &mut Vec<ModelChunk>) -> bool {
        match self.state {
            State::Start => {
                let solid = self.held.trim_start();
                if let Some(behind) = solid.strip_prefix(OPEN) {
                    self.held = behind.to_owned();
                    self.state = State::Inside;
                    self.doubtful = None;
                    return true;
                }
                if OPEN.starts_with(solid) {
                    return false;
                }
                if self.doubtful.is_some() {
                    self.state = State::Inside;
                    return true;
                }
                self.answer(out)
            }
            State::Inside => match self.held.find(CLOSE) {
                Some(at) => {
                    let behind = self.held.split_off(at + CLOSE.len());
                    self.held.truncate(at);
                    self.doubtful = None;
                    self.reason(out);
                    self.held = behind;
                    self.state = State::Behind;
                    true
                }
                None => {
                    let kept = self.held.split_off(self.held.len() - unfinished(&self.held));
                    self.reason(out);
                    self.held = kept;
                    self.give_up_doubt(out)
                }
            },
            State::Behind => {
                let blank = self.held.len() - self.held.trim_start().len();
                self.held.drain(..blank);
                if self.held.is_empty() { false } else { self.answer(out) }
            }
            State::Answer => false,
        }
    }

    fn answer(&mut self, out: &mut Vec<ModelChunk>) -> bool {
        self.state = State::Answer;
        out.push(ModelChunk::Text(std::mem::take(&mut self.held)));
        false
    }

    fn reason(&mut self, out: &mut Vec<ModelChunk>) {
        if let Some(doubtful) = &mut self.doubtful {
            doubtful.push_str(&self.held);
        }
        if !self.held.is_empty() {
            out.push(ModelChunk::Reasoning(std::mem::take(&mut self.held)));
        }
    }

    /// No model reasons for so long: what is held back was the answer.
    fn give_up_doubt(&mut self, out: &mut Vec<ModelChunk>) -> bool {
        if let Some(doubtful) = self.doubtful.take_if(|doubtful| doubtful.len() > DOUBTFUL_SIZE_BYTES_MAX) {
            self.held.insert_str(0, &doubtful);
            self.answer(out);
        }
        false
    }
}

/// How many bytes at the end may be the beginning of the closing tag.
fn unfinished(text: &str) -> usize {
    (1..CLOSE.len()).rev().find(|len| text.ends_with(&CLOSE[..*len])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is reasoning and what is answer of the chunks.
    fn told_apart(out: Vec<ModelChunk>) -> (String, String) {
        let (mut thought, mut said) = (String::new(), String::new());
        for chunk in out {
            match chunk {
                ModelChunk::Text(text) => said.push_str(&text),
                ModelChunk::Reasoning(text) => thought.push_str(&text),
                other => panic!("{other:?}"),
            }
        }
        (thought, said)
    }

    /// What is reasoning and what is answer, whatever the pieces are.
    #[track_caller]
    fn check(content: &str, reasoning: &str, answer: &str) {
        check_of("any", content, reasoning, answer);
    }

    #[track_caller]
    fn check_of(model: &str, content: &str, reasoning: &str, answer: &str) {
        for size in 1..=content.chars().count() {
            let mut tags = ThinkTags::default();
            tags.answer_of(model);
            let mut out = Vec::new();
            let chars: Vec<char> = content.chars().collect();
            for piece in chars.chunks(size) {
                tags.push(piece.iter().collect(), &mut out);
            }
            tags.finish(true, &mut out);
            let (thought, said) = told_apart(out);
            assert_eq!((thought.as_str(), said.as_str()), (reasoning, answer), "{content:?} in pieces of {size}");
        }
    }

    #[test]
    fn reasoning_is_told_from_the_answer() {
        check("<think>hm</think>\n\nHello", "hm", "Hello");
        check("\n <think>\na < b </thin é</think>Hi <think>", "\na < b </thin é", "Hi <think>");
        check("<think>cut off </thi", "cut off </thi", "");
        check("<think></think>", "", "");
        check("<think><file path=\"a.js\">1</file></think>done", "<file path=\"a.js\">1</file>", "done");
    }

    #[test]
    fn the_prompt_may_have_begun_the_reasoning() {
        check_of("DeepSeek-R1", "hm\n</think>\n\nHello", "hm\n", "Hello");
        check_of("DeepSeek-R1", "<think>hm</think>Hello</think>", "hm", "Hello</think>");
        // Without an end it was the answer after all.
        check_of("qwq", "Hello </thi", "Hello ", "Hello </thi");
        check_of("qwq", " <think>Hello", "Hello", "");
        check("hm</think>Hello", "", "hm</think>Hello");
    }

    /// What is reasoning and what is answer of a content that was cut off.
    fn cut(model: &str, pieces: &[&str]) -> (String, String) {
        let mut tags = ThinkTags::default();
        tags.answer_of(model);
        let mut out = Vec::new();
        pieces.iter().for_each(|piece| tags.push((*piece).to_owned(), &mut out));
        tags.finish(false, &mut out);
        told_apart(out)
    }

    #[test]
    fn an_answer_that_is_cut_off_is_not_lost() {
        // The server took the reasoning out; the files are the answer, and it can be continued.
        let (_, said) = cut("qwq", &["Here:\n<file path=\"a.js\">\nconst a", " = 1;\n</th"]);
        assert_eq!(said, "Here:\n<file path=\"a.js\">\nconst a = 1;\n</th");
        assert_eq!(cut("qwq", &["First I think"]), ("First I think".to_owned(), String::new()));
        assert_eq!(cut("qwq", &["hm</think>Hel"]), ("hm".to_owned(), "Hel".to_owned()));
        // Longer than anybody reasons.
        let long = "word ".repeat(DOUBTFUL_SIZE_BYTES_MAX / 5 + 1);
        let (_, said) = cut("qwq", &[&long, "and </th", "is"]);
        assert_eq!(said, format!("{long}and </this"));
    }

    #[test]
    fn what_the_server_tells_apart_stays_apart_whatever_it_says_of_the_model() {
        let mut tags = ThinkTags::default();
        tags.told_apart();
        tags.answer_of("deepseek-r1");
        let mut out = Vec::new();
        tags.push("Hello".to_owned(), &mut out);
        assert_eq!(out, [ModelChunk::Text("Hello".to_owned())]);
    }

    #[test]
    fn an_answer_without_reasoning_is_as_it_was() {
        check("Hello", "", "Hello");
        check("  \n<thin", "", "  \n<thin");
        check("<thinking>x</thinking>", "", "<thinking>x</thinking>");
        check("a <think>b</think>", "", "a <think>b</think>");
        check(" ", "", " ");
    }
}
