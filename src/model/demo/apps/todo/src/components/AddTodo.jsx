import { useState } from 'react'

export default function AddTodo({ onAdd }) {
  const [text, setText] = useState('')

  function submit(event) {
    event.preventDefault()
    if (text.trim()) {
      onAdd(text.trim())
      setText('')
    }
  }

  return (
    <form
      onSubmit={submit}
      className="mt-10 flex gap-2 rounded-2xl border border-line bg-surface p-2 shadow-sm transition focus-within:border-accent focus-within:ring-4 focus-within:ring-accent/15"
    >
      <input
        value={text}
        onChange={(event) => setText(event.target.value)}
        placeholder="What needs doing?"
        aria-label="New todo"
        maxLength={200}
        className="min-w-0 grow bg-transparent px-3 py-2 text-lg outline-none placeholder:text-muted/70"
      />
      <button
        type="submit"
        disabled={!text.trim()}
        className="rounded-xl bg-accent px-5 font-semibold text-on-accent transition enabled:hover:brightness-110 enabled:active:scale-95 disabled:opacity-40"
      >
        Add
      </button>
    </form>
  )
}
