import { useState } from 'react'
import Editor from './components/Editor.jsx'
import NoteList from './components/NoteList.jsx'
import { useNotes } from './useNotes.js'

const TITLE = 'Notes'

export default function App() {
  const { notes, add, change, remove } = useNotes()
  const [openId, setOpenId] = useState(notes[0]?.id)
  const open = notes.find((note) => note.id === openId) ?? notes[0]

  return (
    <div className="flex min-h-dvh flex-col bg-canvas text-ink antialiased">
      <main className="grid grow md:h-dvh md:grid-cols-[19rem_1fr]">
        <aside className="flex flex-col border-line p-4 max-md:max-h-72 max-md:border-b md:min-h-0 md:border-r md:p-5">
          <header className="mb-4 flex items-center justify-between gap-4">
            <h1 className="font-prose text-2xl font-semibold tracking-tight">{TITLE}</h1>
            <button
              type="button"
              onClick={() => setOpenId(add())}
              className="rounded-lg bg-accent px-3.5 py-2 text-sm font-semibold text-on-accent transition hover:brightness-110 active:scale-95"
            >
              New note
            </button>
          </header>
          <NoteList notes={notes} openId={open?.id} onOpen={setOpenId} />
        </aside>

        {open ? (
          <Editor key={open.id} note={open} onChange={change} onRemove={remove} />
        ) : (
          <p className="grid place-items-center p-10 text-center font-prose text-lg text-muted italic">
            An empty desk. Write your first note.
          </p>
        )}
      </main>
    </div>
  )
}
