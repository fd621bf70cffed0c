//! Model providers: the adapters behind `project::model_provider`.
