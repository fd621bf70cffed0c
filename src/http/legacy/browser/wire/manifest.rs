//! What the files of an app are to one another, as browser clients' prompts need it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    /// By path, with a slash in front.
    pub(crate) files: BTreeMap<String, ManifestFile>,
    pub(crate) routes: Vec<ManifestRoute>,
    /// By the component's name.
    pub(crate) component_tree: BTreeMap<String, ManifestNode>,
    /// Empty where there is none that is known.
    pub(crate) entry_point: String,
    pub(crate) style_files: Vec<String>,
    /// In milliseconds since 1970.
    pub(crate) timestamp: i64,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ManifestFile {
    pub(crate) content: String,
    pub(crate) r#type: FileKind,
    pub(crate) exports: Vec<String>,
    pub(crate) imports: Vec<ManifestImport>,
    /// In milliseconds since 1970.
    pub(crate) last_modified: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) component_info: Option<ComponentInfo>,
    /// With a slash in front.
    pub(crate) path: String,
    pub(crate) relative_path: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FileKind {
    Component,
    Page,
    Style,
    Config,
    Utility,
    Layout,
    Hook,
    Context,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ManifestImport {
    pub(crate) source: String,
    pub(crate) imports: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) default_import: Option<String>,
    pub(crate) is_local: bool,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ComponentInfo {
    pub(crate) name: String,
    pub(crate) hooks: Vec<String>,
    pub(crate) has_state: bool,
    pub(crate) child_components: Vec<String>,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct ManifestRoute {
    pub(crate) path: String,
    pub(crate) component: String,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ManifestNode {
    pub(crate) file: String,
    /// What it imports of the app.
    pub(crate) imports: Vec<String>,
    /// Which files import it.
    pub(crate) imported_by: Vec<String>,
    pub(crate) r#type: FileKind,
}
