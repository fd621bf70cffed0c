import { useState } from 'react'
import { titleOf } from '../useNotes.js'

export default function NoteList({ notes, openId, onOpen }) {
  const [search, setSearch] = useState('')
  const found = notes.filter((note) => note.text.toLowerCase().includes(search.trim().toLowerCase()))

  return (
    <>
      <div className="flex items-center rounded-lg border border-line bg-surface pr-1 transition focus-within:border-accent focus-within:ring-4 focus-within:ring-accent/15">
        <input
          type="search"
          value={search}
          onChange={(event) => setSearch(event.target.value)}
          placeholder="Search"
          aria-label="Search notes"
          className="min-w-0 grow bg-transparent px-3 py-2 text-sm outline-none placeholder:text-muted/80 [&::-webkit-search-cancel-button]:hidden"
        />
      </div>
      <ul className="-mx-2 mt-3 min-h-0 grow overflow-y-auto px-2 pb-2">
        {found.map((note) => (
          <li key={note.id}>
            <button
              type="button"
              aria-current={note.id === openId || undefined}
              onClick={() => onOpen(note.id)}
              className="w-full rounded-lg px-3 py-2.5 text-left transition hover:bg-surface aria-[current]:bg-accent/12"
            >
              <span className="block truncate font-medium">{titleOf(note)}</span>
              <span className="text-sm text-muted">
                {new Date(note.changed).toLocaleString('en', { dateStyle: 'medium', timeStyle: 'short' })}
              </span>
            </button>
          </li>
        ))}
        {found.length === 0 && <li className="px-3 py-6 text-center text-sm text-muted">No note says that.</li>}
      </ul>
    </>
  )
}
