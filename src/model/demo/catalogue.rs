//! The apps the demo model can show. They are ordinary files below `apps/`, so that they can be read, edited and run
//! like any app.

use crate::project::model_provider::ContextFile;

/// An app of the catalogue.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct App {
    /// What it is called in a sentence: "a todo list".
    pub name: &'static str,
    /// What to say before the files.
    pub intro: &'static str,
    /// What to try afterwards.
    pub outro: &'static str,
    /// Words and phrases of prompts that mean it, lower case, singular, with their weight.
    pub words: &'static [(u32, &'static str)],
    /// Path and text; `src/App.jsx` is among them.
    pub files: &'static [(&'static str, &'static str)],
    /// The edit that adds a button for clearing something, as a piece of a reply; for apps with something to clear.
    pub clear: Option<&'static str>,
}

macro_rules! files {
    ($app:literal, $($path:literal),+ $(,)?) => {
        &[$(($path, include_str!(concat!("apps/", $app, "/", $path)))),+]
    };
}

/// Every app, in the order they are listed to people.
pub(super) static APPS: [App; 3] = [
    App {
        name: "a todo list",
        intro: "A todo list that remembers itself: add, tick off, filter, delete. It starts with the look, then the list, then its parts.",
        outro: "Your list is kept in the browser. Next, try **make it dark**, **add a clear button** or **change the title to Groceries**.",
        words: &[
            (3, "todo"),
            (3, "to do"),
            (3, "todolist"),
            (3, "checklist"),
            (3, "shopping list"),
            (2, "grocery"),
            (2, "groceries"),
            (2, "task"),
            (2, "chore"),
            (2, "reminder"),
            (1, "list"),
        ],
        files: files!(
            "todo",
            "src/index.css",
            "src/App.jsx",
            "src/useStored.js",
            "src/components/AddTodo.jsx",
            "src/components/TodoItem.jsx",
            "src/components/ProgressRing.jsx",
        ),
        clear: Some(include_str!("apps/todo/clear.md")),
    },
    App {
        name: "a login form",
        intro: "A login form with email and password: it checks what you type, tells you what is wrong, and lets you look at the password.",
        outro: "Any well-formed address with a password of eight characters gets in; there is no server behind it. Next, try **make it dark** or **make it purple**.",
        words: &[
            (3, "login"),
            (3, "log in"),
            (3, "signin"),
            (3, "sign in"),
            (2, "signup"),
            (2, "sign up"),
            (2, "password"),
            (2, "authentication"),
            (2, "auth"),
            (1, "email"),
            (1, "form"),
            (1, "account"),
            (1, "register"),
        ],
        files: files!(
            "login",
            "src/index.css",
            "src/App.jsx",
            "src/components/LoginForm.jsx",
            "src/components/Field.jsx",
            "src/components/Welcome.jsx",
            "src/components/Aside.jsx",
        ),
        clear: Some(include_str!("apps/login/clear.md")),
    },
    App {
        name: "a counter",
        intro: "A counter with big buttons, a step size and a picture of what you did last.",
        outro: "Use the buttons or the arrow keys. Next, try **add a clear button** or **make it green**.",
        words: &[(3, "counter"), (3, "tally"), (2, "count"), (2, "clicker"), (2, "increment"), (1, "number")],
        files: files!(
            "counter",
            "src/index.css",
            "src/App.jsx",
            "src/components/RoundButton.jsx",
            "src/components/History.jsx",
        ),
        clear: Some(include_str!("apps/counter/clear.md")),
    },
];

/// Which app of the catalogue a project holds: the one whose parts its `App.jsx` imports.
pub(super) fn app_of(files: &[ContextFile]) -> Option<&'static App> {
    let text = files.iter().find(|file| file.path.as_str() == ENTRY)?.text.as_deref()?;
    let imports = local_imports(text);
    APPS.iter().find(|app| {
        let own = app.files.iter().find(|(path, _)| *path == ENTRY).map(|(_, text)| local_imports(text));
        own.is_some_and(|own| own.iter().all(|import| imports.contains(import)))
    })
}

/// The component every app begins with.
pub(super) const ENTRY: &str = "src/App.jsx";

/// The components a file imports; two apps never share all of them.
fn local_imports(code: &str) -> Vec<&str> {
    let imports = code.lines().filter(|line| line.starts_with("import "));
    imports.filter_map(|line| line.split(['\'', '"']).nth(1)).filter(|path| path.starts_with("./components/")).collect()
}
