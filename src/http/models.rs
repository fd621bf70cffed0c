//! The models there are, as `GET /api/v1/models` and `cobuild models` tell them.

use cobuild_protocol::{
    frame::ModelNotice,
    model::{ModelEntry, ModelList},
};

use crate::project::model_provider::{ModelInfo, ModelProvider};

/// What there is, from the vendors' own lists where the last ones are old, and how each provider is.
pub async fn list(models: &dyn ModelProvider) -> ModelList {
    let providers = models.refresh().await;
    let default = notice(models.default_model());
    let models = models.models().into_iter().map(|model| entry(model, &default)).collect();
    ModelList { default, models, providers }
}

/// A model and what its users must know.
pub(crate) fn notice(model: ModelInfo) -> ModelNotice {
    ModelNotice { model: model.name, notice: model.notice }
}

fn entry(model: ModelInfo, default: &ModelNotice) -> ModelEntry {
    let ModelInfo {
        name,
        notice,
        context_tokens_max,
        output_tokens_max,
        vision,
        price,
        retires_on,
        canned: _,
        whole_files: _,
    } = model;
    let is_default = name == default.model;
    ModelEntry {
        model: name,
        notice,
        default: is_default,
        context_tokens_max,
        output_tokens_max,
        vision,
        price,
        retires_on,
    }
}
