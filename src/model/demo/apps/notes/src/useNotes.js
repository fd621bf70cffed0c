import { useEffect, useState } from 'react'

const WELCOME = `# Welcome

Write in **Markdown** on the left, read on the right.

- It saves while you type
- *Everything* stays in this browser
- [x] Tick things off
- [ ] Try a list of your own

> The palest ink is better than the best memory.

\`\`\`
const pen = 'mightier than the sword'
\`\`\``

const PACKING = `# Packing for Lisbon

1. Passport
2. Sunglasses
3. The book with the *blue* cover

Ask Mara about the ~~hotel~~ apartment.`

const FIRST_NOTES = [
  { id: 'welcome', text: WELCOME, changed: Date.now() },
  { id: 'packing', text: PACKING, changed: Date.now() - 86_400_000 },
]

function stored() {
  try {
    return JSON.parse(localStorage.getItem('notes')) ?? FIRST_NOTES
  } catch {
    return FIRST_NOTES
  }
}

export function useNotes() {
  const [notes, setNotes] = useState(stored)

  useEffect(() => {
    try {
      localStorage.setItem('notes', JSON.stringify(notes))
    } catch {
      // A private window may keep no storage: then it lasts until the page is closed.
    }
  }, [notes])

  return {
    notes: notes.toSorted((a, b) => b.changed - a.changed),
    add() {
      const id = crypto.randomUUID?.() ?? String(Date.now())
      setNotes([...notes, { id, text: '', changed: Date.now() }])
      return id
    },
    change(id, text) {
      setNotes(notes.map((note) => (note.id === id ? { id, text, changed: Date.now() } : note)))
    },
    remove(id) {
      setNotes(notes.filter((note) => note.id !== id))
    },
  }
}

export function titleOf(note) {
  const line = note.text.split('\n').find((line) => line.trim())
  return line?.replace(/^[#>\-*\s]+/, '') || 'Untitled'
}
