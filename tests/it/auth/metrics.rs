//! Figures tell about all projects, so they are for owners of all.

use serde_json::json;

use super::{
    Guarded,
    signer::{hs256, now},
};

#[tokio::test]
async fn only_owners_of_everything_read_them() {
    let guarded = Guarded::start().await;
    assert_eq!(guarded.get("/metrics", "").await.0, 401);
    for projects in [json!({ "p": "owner" }), json!({ "*": "editor" }), json!({ "*": "viewer", "p": "owner" })] {
        let token = hs256(json!({ "sub": "ada", "projects": projects, "exp": now() + 600.0 }));
        let (status, body) = guarded.get("/metrics", &token).await;
        assert_eq!((status.as_u16(), body["code"].as_str()), (403, Some("forbidden")), "{body}");
    }
    let (status, text) = guarded.get("/metrics", &guarded.owner).await;
    assert_eq!(status, 200);
    assert!(text.as_str().is_some_and(|text| text.contains("cobuild_projects_loaded")), "{text}");
}
