import { useState } from 'react'

export default function AddCard({ column, onAdd }) {
  const [text, setText] = useState('')

  function submit(event) {
    event.preventDefault()
    if (text.trim()) {
      onAdd(column.id, text.trim())
      setText('')
    }
  }

  return (
    <form onSubmit={submit} className="mt-2.5">
      <input
        value={text}
        onChange={(event) => setText(event.target.value)}
        placeholder="+ Add a card"
        aria-label={`Add a card to ${column.name}`}
        maxLength={140}
        className="w-full rounded-xl border border-transparent bg-transparent px-4 py-2.5 text-sm outline-none transition placeholder:text-muted hover:bg-surface/60 focus:border-accent focus:bg-surface"
      />
    </form>
  )
}
