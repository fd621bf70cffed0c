//! One question to a model, ready for any wire: the conversation in a shape every vendor takes, and only those
//! parameters that the model takes.
//!
//! It knows no wire format.

use std::fmt::Write;

use cobuild_protocol::value::MessageRole;

use super::{
    catalogue::{Model, Sampling},
    provider::{ModelName, Provider},
};
use crate::project::model_provider::{ContextFile, Image, ModelError, ModelRequest, ReasoningEffort, Turn};

/// Output cap when nobody set one. Reasoning counts against it, so a small one gives empty answers.
pub const OUTPUT_TOKENS_MAX: u64 = 32_000;
/// Largest picture; vendors refuse larger ones after the whole upload.
const IMAGE_SIZE_BYTES_MAX: usize = 5 * 1024 * 1024;
/// The formats every vendor with eyes takes.
const IMAGE_TYPES: [&str; 4] = ["image/png", "image/jpeg", "image/webp", "image/gif"];

/// A sampling parameter that models may refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SamplingParameter {
    /// `temperature`.
    Temperature,
    /// `top_p`.
    TopP,
    /// `top_k`.
    TopK,
}

impl SamplingParameter {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Temperature, Self::TopP, Self::TopK];

    /// The names it has on the wires.
    #[must_use]
    pub fn names(self) -> [&'static str; 2] {
        match self {
            Self::Temperature => ["temperature", "temperature"],
            Self::TopP => ["top_p", "topP"],
            Self::TopK => ["top_k", "topK"],
        }
    }
}

/// A question to a model.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Whom.
    pub model: ModelName,
    /// The instructions.
    pub system: String,
    /// The project's files as one text; it comes before the conversation, so that vendors' caches can keep it.
    pub files: Option<String>,
    /// Without blank turns, roles alternate, the first and the last one are a user's.
    pub turns: Vec<Turn>,
    /// Pictures that belong to the last turn.
    pub images: Vec<Image>,
    /// Output cap; `None` leaves it to the server.
    pub output_tokens_max: Option<u64>,
    /// Set by the user and taken by the model.
    pub temperature: Option<f64>,
    /// Set by the user and taken by the model.
    pub top_p: Option<f64>,
    /// Set by the user and taken by the model.
    pub top_k: Option<u32>,
    /// Set by the user and known to the model.
    pub effort: Option<ReasoningEffort>,
    /// Whether the model's reasoning must be asked for to be seen.
    pub show_reasoning: bool,
}

impl Ask {
    /// Prepares a request for a model. `row` is what is known of it.
    ///
    /// # Errors
    ///
    /// There is nothing to answer, or a picture that the model cannot see.
    pub fn new(model: ModelName, row: Option<&Model>, request: ModelRequest) -> Result<Self, ModelError> {
        let ModelRequest { model: _, fallbacks: _, system, files, turns, images, parameters } = request;
        let turns = alternate(turns)?;
        check_images(&model, row, &images)?;
        let effort = parameters.effort.filter(|effort| row.is_some_and(|row| row.efforts.contains(effort)));
        let sampled = takes_sampling(model.provider, row, effort);
        Ok(Self {
            system,
            files: files_text(&files),
            turns,
            images,
            output_tokens_max: output_cap(&model, row, parameters.output_tokens_max),
            temperature: parameters.temperature.filter(|_| sampled),
            top_p: parameters.top_p.filter(|_| sampled),
            top_k: parameters.top_k.filter(|_| sampled),
            effort,
            show_reasoning: row.is_some_and(|row| row.show_reasoning),
            model,
        })
    }

    /// Takes out a parameter that the model has refused. Says whether it was there.
    pub fn drop_parameter(&mut self, parameter: SamplingParameter) -> bool {
        match parameter {
            SamplingParameter::Temperature => self.temperature.take().is_some(),
            SamplingParameter::TopP => self.top_p.take().is_some(),
            SamplingParameter::TopK => self.top_k.take().is_some(),
        }
    }

    /// How much text is sent, for estimates.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let turns: usize = self.turns.iter().map(|turn| turn.text.len()).sum();
        self.system.len() + self.files.as_ref().map_or(0, String::len) + turns
    }
}

/// Blank turns are refused by some vendors, two turns of one role in a row by some models' templates, an answer as
/// the last turn ("prefill") by all current ones.
fn alternate(turns: Vec<Turn>) -> Result<Vec<Turn>, ModelError> {
    let mut merged: Vec<Turn> = Vec::with_capacity(turns.len());
    for turn in turns {
        if turn.text.trim().is_empty() {
            continue;
        }
        match merged.last_mut() {
            Some(last) if last.role == turn.role => {
                last.text.push_str("\n\n");
                last.text.push_str(&turn.text);
            }
            None if turn.role == MessageRole::Assistant => {}
            _ => merged.push(turn),
        }
    }
    match merged.last() {
        Some(last) if last.role == MessageRole::User => Ok(merged),
        _ => Err(ModelError::InvalidRequest("the last turn of a conversation with a model is a user's".into())),
    }
}

fn check_images(model: &ModelName, row: Option<&Model>, images: &[Image]) -> Result<(), ModelError> {
    let refuse = |sentence: String| Err(ModelError::InvalidRequest(sentence));
    if !images.is_empty() && row.is_some_and(|row| row.vision == Some(false)) {
        return refuse(format!("`{model}` does not take pictures; choose a model that does"));
    }
    for image in images {
        if !IMAGE_TYPES.contains(&image.media_type.as_str()) {
            return refuse(format!("a picture is one of {}", IMAGE_TYPES.join(", ")));
        }
        if image.data.is_empty() || image.data.len() > IMAGE_SIZE_BYTES_MAX {
            return refuse(format!("a picture has 1 to {IMAGE_SIZE_BYTES_MAX} bytes"));
        }
    }
    Ok(())
}

/// The user's cap or the default, never more than the model can. Where nothing is known of a model the server's own
/// default is better than a guess: a cap beyond a small model's window is refused.
fn output_cap(model: &ModelName, row: Option<&Model>, set: Option<u64>) -> Option<u64> {
    match row.and_then(|row| row.output_tokens_max) {
        Some(most) => Some(set.unwrap_or(OUTPUT_TOKENS_MAX).min(most)),
        None if model.provider == Provider::Anthropic => Some(set.unwrap_or(OUTPUT_TOKENS_MAX)),
        None => set,
    }
}

fn takes_sampling(provider: Provider, row: Option<&Model>, effort: Option<ReasoningEffort>) -> bool {
    match row.map(|row| row.sampling) {
        Some(Sampling::Allowed) => true,
        Some(Sampling::OnlyWithoutReasoning) => effort == Some(ReasoningEffort::None),
        Some(Sampling::Refused | Sampling::Ignored | Sampling::Unknown) => false,
        // Local servers take them for every model; OpenRouter leaves out what a model does not take.
        None => provider.is_local() || matches!(provider, Provider::Compatible | Provider::Openrouter),
    }
}

/// The files as a model reads them, in the format in which it writes them.
fn files_text(files: &[ContextFile]) -> Option<String> {
    if files.is_empty() {
        return None;
    }
    let mut text = String::from("The project's files:\n");
    for file in files {
        if let Some(content) = &file.text {
            let end = if content.ends_with('\n') { "" } else { "\n" };
            // Writing to a String cannot fail.
            let _ = write!(text, "\n<file path=\"{}\">\n{content}{end}</file>\n", file.path.as_str());
        }
    }
    let unseen: Vec<&str> = files.iter().filter(|file| file.text.is_none()).map(|file| file.path.as_str()).collect();
    if !unseen.is_empty() {
        let _ = write!(text, "\nAlso there, not shown: {}\n", unseen.join(", "));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::project::model_provider::ModelParameters;

    fn turn(role: MessageRole, text: &str) -> Turn {
        Turn { role, text: text.to_owned() }
    }

    fn request(parameters: ModelParameters) -> ModelRequest {
        ModelRequest {
            model: String::new(),
            fallbacks: Vec::new(),
            system: "s".to_owned(),
            files: Vec::new(),
            turns: vec![turn(MessageRole::User, "hi")],
            images: Vec::new(),
            parameters,
        }
    }

    fn name(text: &str) -> ModelName {
        ModelName::parse(text).expect("valid")
    }

    fn row(sampling: Sampling) -> Model {
        Model {
            sampling,
            output_tokens_max: Some(64_000),
            efforts: vec![ReasoningEffort::None, ReasoningEffort::High],
            vision: Some(false),
            ..Model::new(name("openai/m"))
        }
    }

    #[test]
    fn turns_alternate_and_end_with_the_user() {
        use MessageRole::{Assistant, User};
        let turns = vec![
            turn(Assistant, "lost beginning"),
            turn(User, "a"),
            turn(Assistant, " \n"),
            turn(User, "b"),
            turn(Assistant, "c"),
            turn(User, "d"),
        ];
        let expected = vec![turn(User, "a\n\nb"), turn(Assistant, "c"), turn(User, "d")];
        assert_eq!(alternate(turns).expect("valid"), expected);
        assert!(alternate(vec![turn(User, "a"), turn(Assistant, "prefill")]).is_err());
        assert!(alternate(Vec::new()).is_err());
    }

    #[test]
    fn sampling_is_sent_only_where_taken() {
        let set = ModelParameters { temperature: Some(0.2), top_p: Some(0.9), top_k: Some(3), ..Default::default() };
        let without_reasoning = ModelParameters { effort: Some(ReasoningEffort::None), ..set.clone() };
        let check = |row: Option<Model>, model: &str, parameters: &ModelParameters, sent: bool| {
            let ask = Ask::new(name(model), row.as_ref(), request(parameters.clone())).expect("valid");
            assert_eq!(ask.temperature.is_some(), sent, "{model} {row:?}");
            assert_eq!((ask.top_p.is_some(), ask.top_k.is_some()), (sent, sent));
        };
        for (sampling, sent) in [
            (Sampling::Allowed, true),
            (Sampling::Refused, false),
            (Sampling::Ignored, false),
            (Sampling::Unknown, false),
            (Sampling::OnlyWithoutReasoning, false),
        ] {
            check(Some(row(sampling)), "openai/m", &set, sent);
        }
        check(Some(row(Sampling::OnlyWithoutReasoning)), "openai/m", &without_reasoning, true);
        for (model, sent) in
            [("openai/new", false), ("ollama/x", true), ("openrouter/a/b", true), ("compatible/x", true)]
        {
            check(None, model, &set, sent);
        }
    }

    #[test]
    fn what_nobody_set_is_not_sent() {
        let ask = Ask::new(name("ollama/x"), None, request(ModelParameters::default())).expect("valid");
        assert_eq!(
            (ask.temperature, ask.top_p, ask.top_k, ask.effort, ask.output_tokens_max),
            (None, None, None, None, None)
        );
    }

    #[test]
    fn caps_and_efforts_follow_the_row() {
        let ask = |model: &str, row: Option<&Model>, cap: Option<u64>, effort| {
            let parameters = ModelParameters { output_tokens_max: cap, effort, ..Default::default() };
            let ask = Ask::new(name(model), row, request(parameters)).expect("valid");
            (ask.output_tokens_max, ask.effort)
        };
        let row = row(Sampling::Unknown);
        let (high, low) = (Some(ReasoningEffort::High), Some(ReasoningEffort::Low));
        assert_eq!(ask("openai/m", Some(&row), None, high), (Some(32_000), high));
        assert_eq!(ask("openai/m", Some(&row), Some(1 << 40), low), (Some(64_000), None));
        assert_eq!(ask("anthropic/new", None, None, None), (Some(32_000), None));
        assert_eq!(ask("groq/new", None, None, high), (None, None));
    }

    #[test]
    fn pictures_need_eyes_and_a_known_format() {
        let check = |model: &str, row: Option<&Model>, media_type: &str, size_bytes: usize, ok: bool| {
            let image = Image { media_type: media_type.to_owned(), data: Bytes::from(vec![0; size_bytes]) };
            let request = ModelRequest { images: vec![image], ..request(ModelParameters::default()) };
            assert_eq!(Ask::new(name(model), row, request).is_ok(), ok, "{model} {media_type} {size_bytes}");
        };
        check("openai/new", None, "image/png", 1, true);
        check("openai/new", None, "image/svg+xml", 1, false);
        check("openai/new", None, "image/png", 0, false);
        check("openai/new", None, "image/png", IMAGE_SIZE_BYTES_MAX + 1, false);
        check("openai/m", Some(&row(Sampling::Unknown)), "image/png", 1, false);
    }

    #[test]
    fn files_are_shown_as_they_are_written() {
        let file = |path: &str, text: Option<&str>| ContextFile {
            path: path.parse().expect("valid"),
            text: text.map(str::to_owned),
        };
        let files = [file("a.js", Some("1")), file("b.png", None), file("c.js", Some("2\n")), file("d", None)];
        let expected = "The project's files:\n\n<file path=\"a.js\">\n1\n</file>\n\n<file path=\"c.js\">\n2\n</file>\n\
                        \nAlso there, not shown: b.png, d\n";
        assert_eq!(files_text(&files).as_deref(), Some(expected));
        assert_eq!(files_text(&[]), None);
    }
}
