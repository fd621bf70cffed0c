import { useState } from 'react'
import Markdown from './Markdown.jsx'

const VIEWS = ['Write', 'Both', 'Read']

export default function Editor({ note, onChange, onRemove }) {
  const [view, setView] = useState('Both')
  const words = note.text.split(/\s+/).filter(Boolean).length

  return (
    <section className="flex min-h-0 min-w-0 flex-col">
      <header className="flex flex-wrap items-center justify-between gap-3 border-b border-line px-5 py-3">
        <div className="flex gap-1 rounded-lg bg-line/60 p-1" role="group" aria-label="View">
          {VIEWS.map((name) => (
            <button
              key={name}
              type="button"
              aria-pressed={view === name}
              onClick={() => setView(name)}
              className="rounded-md px-3 py-1 text-sm font-medium text-muted transition hover:text-ink aria-pressed:bg-surface aria-pressed:text-ink aria-pressed:shadow-sm"
            >
              {name}
            </button>
          ))}
        </div>
        <div className="flex items-center gap-4 text-sm text-muted">
          <span>
            {words} {words === 1 ? 'word' : 'words'}
          </span>
          <button
            type="button"
            onClick={() => onRemove(note.id)}
            className="rounded-lg px-2.5 py-1 font-medium transition hover:bg-red-500/10 hover:text-red-500"
          >
            Delete
          </button>
        </div>
      </header>

      <div className="grid min-h-0 grow auto-rows-fr bg-surface lg:auto-cols-fr lg:grid-flow-col">
        {view !== 'Read' && (
          <textarea
            value={note.text}
            onChange={(event) => onChange(note.id, event.target.value)}
            autoFocus={note.text === ''}
            spellCheck="true"
            aria-label="Note in Markdown"
            placeholder={'# A title\n\nand what you want to remember'}
            className="min-h-72 w-full resize-none bg-transparent p-6 font-mono text-sm leading-7 outline-none placeholder:text-muted/60 sm:p-10"
          />
        )}
        {view !== 'Write' && (
          <article className="min-h-72 overflow-y-auto border-line p-6 sm:p-10 max-lg:border-t lg:not-first:border-l">
            <Markdown text={note.text} />
          </article>
        )}
      </div>
    </section>
  )
}
