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
    /// The edit that adds a button for clearing something; for apps with something to clear.
    pub clear: Option<Clear>,
}

/// An edit of one app, as a piece of a reply.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Clear {
    /// What it does, as a clause.
    pub does: &'static str,
    pub reply: &'static str,
}

macro_rules! files {
    ($app:literal, $($path:literal),+ $(,)?) => {
        &[$(($path, include_str!(concat!("apps/", $app, "/", $path)))),+]
    };
}

/// Every app, in the order they are listed to people.
pub(super) static APPS: [App; 8] = [
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
        clear: Some(Clear {
            does: "adds a button that clears what is done",
            reply: include_str!("apps/todo/clear.md"),
        }),
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
        clear: Some(Clear { does: "adds a button that clears the form", reply: include_str!("apps/login/clear.md") }),
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
        clear: Some(Clear {
            does: "adds a button that sets everything back to zero",
            reply: include_str!("apps/counter/clear.md"),
        }),
    },
    App {
        name: "notes with Markdown",
        intro: "Notes in Markdown, written on the left and read on the right. It saves while you type.",
        outro: "The notes stay in the browser. Next, try **make it dark**, **add a clear button** or **change the title to Field notes**.",
        words: &[
            (3, "note"),
            (3, "notepad"),
            (3, "notebook"),
            (3, "markdown"),
            (2, "journal"),
            (2, "diary"),
            (2, "memo"),
            (1, "editor"),
            (1, "write"),
            (1, "text"),
        ],
        files: files!(
            "notes",
            "src/index.css",
            "src/App.jsx",
            "src/useNotes.js",
            "src/components/NoteList.jsx",
            "src/components/Editor.jsx",
            "src/components/Markdown.jsx",
        ),
        clear: Some(Clear { does: "adds a button that clears the search", reply: include_str!("apps/notes/clear.md") }),
    },
    App {
        name: "a kanban board",
        intro: "A kanban board with three columns. Cards can be dragged, or moved with their arrow buttons.",
        outro: "The board is kept in the browser. Next, try **make it dark**, **add a clear button** or **change the title to Sprint 12**.",
        words: &[
            (3, "kanban"),
            (3, "trello"),
            (2, "board"),
            (2, "sprint"),
            (2, "backlog"),
            (2, "project management"),
            (1, "column"),
            (1, "card"),
            (1, "drag"),
            (1, "task"),
        ],
        files: files!(
            "kanban",
            "src/index.css",
            "src/App.jsx",
            "src/useBoard.js",
            "src/components/Column.jsx",
            "src/components/Card.jsx",
            "src/components/AddCard.jsx",
        ),
        clear: Some(Clear {
            does: "adds a button that clears the last column",
            reply: include_str!("apps/kanban/clear.md"),
        }),
    },
    App {
        name: "a dashboard with charts",
        intro: "A dashboard for a coffee shop, with invented figures. The charts are drawn by the npm package `recharts`, which is found in the imports and installed when I am done.",
        outro: "Hover over the charts and change the period. Next, try **make it dark** or **make it purple**: the charts follow.",
        words: &[
            (4, "dashboard"),
            (3, "chart"),
            (3, "analytics"),
            (2, "graph"),
            (2, "metric"),
            (2, "statistics"),
            (2, "stats"),
            (2, "revenue"),
            (2, "kpi"),
            (1, "sales"),
            (1, "report"),
            (1, "admin"),
            (1, "data"),
        ],
        files: files!(
            "dashboard",
            "src/index.css",
            "src/App.jsx",
            "src/data.js",
            "src/components/Figure.jsx",
            "src/components/RevenueChart.jsx",
            "src/components/ChannelChart.jsx",
            "src/components/ChartTip.jsx",
            "src/components/Products.jsx",
        ),
        clear: None,
    },
    App {
        name: "a landing page",
        intro: "A landing page for an invented company that plans journeys by train: an opening with a moving picture, features, prices, questions and a sign-up.",
        outro: "Switch the prices, open the questions, sign up. Next, try **make it dark** for a ride at night, or **add a footer**.",
        words: &[
            (4, "landing page"),
            (4, "product page"),
            (3, "homepage"),
            (3, "home page"),
            (2, "landing"),
            (2, "website"),
            (2, "marketing"),
            (2, "startup"),
            (2, "saas"),
            (1, "hero"),
            (1, "pricing"),
            (1, "company"),
        ],
        files: files!(
            "landing",
            "src/index.css",
            "src/App.jsx",
            "src/components/Nav.jsx",
            "src/components/Hero.jsx",
            "src/components/Landscape.jsx",
            "src/components/Features.jsx",
            "src/components/Pricing.jsx",
            "src/components/Questions.jsx",
            "src/components/Signup.jsx",
        ),
        clear: None,
    },
    App {
        name: "tic-tac-toe",
        intro: "Tic-tac-toe, against the computer or against each other. The computer plays well, but not always.",
        outro: "You are X and begin; then you take turns beginning. Next, try **make it dark**, **make it green** or **add a clear button**.",
        words: &[
            (5, "tic tac toe"),
            (5, "tictactoe"),
            (4, "noughts and crosses"),
            (3, "board game"),
            (1, "game"),
            (1, "play"),
        ],
        files: files!(
            "tictactoe",
            "src/index.css",
            "src/App.jsx",
            "src/game.js",
            "src/components/Board.jsx",
            "src/components/Mark.jsx",
            "src/components/Scores.jsx",
        ),
        clear: Some(Clear {
            does: "adds a button that clears the scores",
            reply: include_str!("apps/tictactoe/clear.md"),
        }),
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
