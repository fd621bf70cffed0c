//! The vendors themselves. Runs for those whose key is set, and says which were left out.

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

#[tokio::test]
async fn vendors_with_a_key_answer() {
    for provider in Provider::ALL {
        let Some(variable) = provider.key_variable() else { continue };
        let Some(key) = env::var(variable).ok().filter(|key| !key.trim().is_empty()) else {
            if provider != Provider::Compatible {
                not_run(&format!("models: {} live needs {variable}", provider.title()));
            }
            continue;
        };
        let base_url = provider.base_url_variable().and_then(|variable| env::var(variable).ok());
        let endpoint = EndpointSettings { key: Some(Secret::new(key)), base_url };
        let settings = ModelSettings { endpoints: [(provider, endpoint)].into(), ..ModelSettings::default() };
        let vendors = Vendors::new(settings, Catalogue::built_in(), &HttpLimits::default(), RetryPolicy::default());
        let vendors = vendors.expect("TLS is there");
        let reports = vendors.refresh().await;
        assert!(reports.iter().all(|report| report.failure.is_none()), "{reports:?}");
        let Some(model) = vendors.default_model() else { continue };
        let outcome = ask_with(&models(&vendors), request(&model.name, "Answer with the word pong.")).await;
        assert_eq!(outcome.stop, Some(StopReason::Complete), "{} {:?}", model.name, outcome.error);
        assert!(outcome.text.to_ascii_lowercase().contains("pong"), "{}", model.name);
        assert!(outcome.usage.is_some_and(|usage| !usage.estimated), "{}", model.name);
    }
}
