//! The vendors themselves. Runs for those that are set up, and says which were left out. One that fails hides nothing of the
//! others.

use std::env;

use cobuild::{
    model::{
        catalogue::Catalogue,
        endpoint::{EndpointSettings, ModelSettings},
        http::HttpLimits,
        provider::Provider,
        retry::RetryPolicy,
        vendors::Vendors,
    },
    project::model_provider::StopReason,
    secret::Secret,
};

use crate::support::not_run;

use super::support::{ask_with, models, request};

fn set(variable: Option<&str>) -> Option<String> {
    env::var(variable?).ok().filter(|value| !value.trim().is_empty())
}

/// How a vendor is set up; otherwise the variable that is missing.
fn endpoint(provider: Provider) -> Result<EndpointSettings, &'static str> {
    let key = set(provider.key_variable()).map(Secret::new);
    let base_url = set(provider.base_url_variable());
    let needed = match provider {
        // Its key may be empty.
        Provider::Compatible => provider.base_url_variable().filter(|_| base_url.is_none()),
        _ => provider.key_variable().filter(|_| key.is_none()),
    };
    needed.map_or(Ok(EndpointSettings { key, base_url }), Err)
}

/// Lists the vendor's models and asks the first one of them.
async fn ask(provider: Provider, endpoint: EndpointSettings) -> Result<(), String> {
    let settings = ModelSettings { endpoints: [(provider, endpoint)].into(), ..ModelSettings::default() };
    let vendors = Vendors::new(settings, Catalogue::built_in(), &HttpLimits::default(), RetryPolicy::default());
    let vendors = vendors.map_err(|error| error.to_string())?;
    let reports = vendors.refresh().await;
    let report = reports.iter().find(|report| report.provider == provider).ok_or("it is not asked for its models")?;
    if let Some(failure) = &report.failure {
        return Err(format!("its models cannot be listed: {failure}"));
    }
    let model = vendors.default_model().ok_or("it has no model to ask")?;
    let outcome = ask_with(&models(&vendors), request(&model.name, "Answer with the word pong.")).await;
    if outcome.stop != Some(StopReason::Complete) {
        return Err(format!("{}: {:?} {:?}", model.name, outcome.stop, outcome.error));
    }
    if !outcome.text.to_ascii_lowercase().contains("pong") {
        return Err(format!("{} says {:?}", model.name, outcome.text));
    }
    match outcome.usage {
        Some(usage) if !usage.estimated => Ok(()),
        usage => Err(format!("{} reports no usage: {usage:?}", model.name)),
    }
}

#[tokio::test]
async fn vendors_that_are_set_up_answer() {
    let mut failures = Vec::new();
    // Those on this machine are found, not set up.
    for provider in Provider::ALL.into_iter().filter(|provider| !provider.is_local()) {
        match endpoint(provider) {
            Err(variable) => not_run(&format!("models: {} live needs {variable}", provider.title())),
            Ok(endpoint) => {
                let asked = ask(provider, endpoint).await;
                failures.extend(asked.err().map(|error| format!("{}: {error}", provider.title())));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
