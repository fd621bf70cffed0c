//! One answer: continued, only a plan, with pictures.

use super::*;

#[tokio::test]
async fn an_answer_is_continued_without_a_byte_too_many_or_too_few() {
    let (mut room, mut ada) = with_app().await;
    let whole = APP.replace("Hi", "Continued");
    let at = whole.find("ault ()").unwrap();
    let run = ada.generate("Longer").await;
    room.call().await.cut(&whole[..at]);
    let call = room.call().await;
    let asked: Vec<_> = call.request.turns.iter().rev().take(2).map(|turn| (turn.role, turn.text.clone())).collect();
    assert_eq!((asked[1].0, asked[1].1.as_str()), (MessageRole::Assistant, &whole[..at]));
    assert!(
        asked[0].0 == MessageRole::User
            && asked[0].1.contains("Continue exactly")
            && asked[0].1.ends_with("export def")
    );
    // It begins the broken line anew, as models do.
    let line = whole[..at].rfind('\n').unwrap() + 1;
    for piece in whole[line..].split_inclusive(' ') {
        call.text(piece);
    }
    call.stop();
    assert_eq!(ada.wait_for_end(run).await, Outcome::Completed);
    assert_eq!(read(&ada, "src/App.jsx").await, "export default () => <h1>Continued</h1>;");
    assert_eq!(reasons(&ada), [(TurnReason::Continuation, 1)]);
}

#[tokio::test]
async fn an_answer_that_never_ends_is_given_up_after_three_continuations() {
    let (mut room, mut ada) = with_app().await;
    let run = ada.generate("Longer").await;
    for part in ["<file path=\"src/App.jsx\">\n", "one();\n", "two();\n", "three();\n"] {
        room.call().await.cut(part);
    }
    assert_eq!(ada.wait_for_end(run).await, Outcome::Failed);
    assert!(room.calls.try_recv().is_err(), "no fourth continuation");
    assert!(read(&ada, "src/App.jsx").await.contains("Hi"), "a file that was cut off is never written");
}

#[tokio::test]
async fn a_plan_touches_nothing() {
    let (mut room, mut ada) = with_app().await;
    let plan = Generate { mode: GenerateMode::Plan, ..Generate::new("A shop") };
    let run = accepted_run(&ada.send(Command::Generate(plan)).await);
    let call = room.call().await;
    assert!(call.last_turn().starts_with("Plan only") && call.last_turn().ends_with("A shop"));
    call.answer(&format!("First the basket.\n{}\n<command>rm -rf .</command>", APP.replace("Hi", "No")));
    assert_eq!(ada.wait_for_end(run).await, Outcome::Completed);
    assert!(read(&ada, "src/App.jsx").await.contains("Hi"));
    let events = ada.run_events(run);
    assert!(!events.contains(&"file_written") && !events.contains(&"exec_started"), "{events:?}");
    assert_eq!(ada.state().await.runs.last().unwrap().mode, GenerateMode::Plan);
}

#[tokio::test]
async fn pictures_and_a_page_go_along() {
    let (mut room, mut ada) = with_app().await;
    let png = ImageData { media_type: ImageType::Png, data: "iVBORw0KGgo=".into() };
    let prompt = Generate { images: vec![png], url: Some("https://example.com/".into()), ..Generate::new("Like this") };
    let run = accepted_run(&ada.send(Command::Generate(prompt)).await);
    let call = room.call().await;
    assert_eq!((call.request.images.len(), call.request.images[0].media_type.as_str()), (1, "image/png"));
    assert!(call.last_turn().contains("<h1 class=\"teal\">An example</h1>") && !call.last_turn().contains("evil"));
    call.answer("Done.");
    ada.wait_for_end(run).await;
    let state = ada.state().await;
    let message = &state.messages[state.messages.len() - 2];
    assert_eq!((message.images.len(), message.url.as_deref()), (1, Some("https://example.com/")));
    let bytes = within(ada.handle.blob(&message.images[0].hash)).await.unwrap();
    assert_eq!(&bytes[..], b"\x89PNG\r\n\x1a\n");
}

#[tokio::test]
async fn what_is_no_picture_or_page_is_refused() {
    let room = TestRoom::new().await;
    let mut ada = room.enter("Ada").await;
    let image = |media_type, data: &str| ImageData { media_type, data: data.to_owned() };
    for (images, url, code) in [
        (vec![image(ImageType::Jpeg, "iVBORw0KGgo=")], None, ErrorCode::BadRequest),
        (vec![image(ImageType::Png, "no base64!")], None, ErrorCode::BadRequest),
        (vec![image(ImageType::Png, "iVBORw0KGgo="); 5], None, ErrorCode::TooLarge),
        (vec![image(ImageType::Png, &"A".repeat(2_000_000))], None, ErrorCode::TooLarge),
        (Vec::new(), Some("file:///etc/passwd"), ErrorCode::BadRequest),
        (Vec::new(), Some("https://user@host/"), ErrorCode::BadRequest),
    ] {
        let prompt = Generate { images, url: url.map(str::to_owned), ..Generate::new("Like this") };
        match ada.send(Command::Generate(prompt)).await {
            ControlFrame::Rejected(rejected) => assert_eq!(rejected.error.code, code, "{url:?}"),
            other => panic!("not rejected: {other:?}"),
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_larger_than_one_may_be_says_so() {
    let (mut room, mut ada) = with_app().await;
    let files: String = (0..257).map(|at| format!("<file path=\"src/f{at}.js\">{at}</file>\n")).collect();
    let run = ada.generate("Very many").await;
    room.call().await.answer(&files);
    assert_eq!(ada.wait_for_end(run).await, Outcome::Failed);
    let error = end(&ada).error.unwrap();
    assert!(error.message.contains("larger than one may be") && error.output_limit, "{error:?}");
    let files = ada.state().await.files;
    let has = |path: &str| files.contains_key(&path.parse().unwrap());
    assert!(has("src/f255.js") && !has("src/f256.js"));
}

#[tokio::test]
async fn an_answer_that_was_cut_off_stays_so_when_its_edits_are_corrected() {
    let (mut room, mut ada) = with_app().await;
    let run = ada.generate("Be polite").await;
    room.call().await.cut(&format!("{}\nAnd", edit("<h2>Nowhere to be found in here</h2>", "x")));
    for _ in 0..3 {
        room.call().await.cut(" on");
    }
    let call = room.call().await;
    assert!(call.last_turn().contains("matches nothing"), "{}", call.last_turn());
    call.answer(&edit("export default () => <h1>Hi</h1>;", "export default () => <h1>Hello</h1>;"));
    assert_eq!(ada.wait_for_end(run).await, Outcome::Failed);
    let error = end(&ada).error.unwrap();
    assert!(error.message.contains("its complete files were applied"), "{error:?}");
    assert!(read(&ada, "src/App.jsx").await.contains("Hello"));
}

#[tokio::test]
async fn a_plan_that_was_cut_off_claims_no_files() {
    let (mut room, mut ada) = with_app().await;
    let plan = Generate { mode: GenerateMode::Plan, ..Generate::new("A shop") };
    let run = accepted_run(&ada.send(Command::Generate(plan)).await);
    for _ in 0..4 {
        room.call().await.cut("First ");
    }
    assert_eq!(ada.wait_for_end(run).await, Outcome::Failed);
    let error = end(&ada).error.unwrap();
    assert!(error.output_limit && !error.message.contains("applied"), "{error:?}");
}
