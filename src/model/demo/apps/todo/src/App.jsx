import { useState } from 'react'
import AddTodo from './components/AddTodo.jsx'
import ProgressRing from './components/ProgressRing.jsx'
import TodoItem from './components/TodoItem.jsx'
import { useStored } from './useStored.js'

const TITLE = 'Today'

const FIRST_TODOS = [
  { id: 1, text: 'Water the plants', done: true },
  { id: 2, text: 'Reply to Ada about the weekend', done: false },
  { id: 3, text: 'Book the train tickets', done: false },
]

const FILTERS = {
  All: () => true,
  Open: (todo) => !todo.done,
  Done: (todo) => todo.done,
}

export default function App() {
  const [todos, setTodos] = useStored('todos', FIRST_TODOS)
  const [filter, setFilter] = useState('All')

  const shown = todos.filter(FILTERS[filter])
  const done = todos.filter((todo) => todo.done).length
  const open = todos.length - done

  const add = (text) => setTodos([{ id: Date.now(), text, done: false }, ...todos])
  const remove = (id) => setTodos(todos.filter((todo) => todo.id !== id))
  const change = (id, changes) =>
    setTodos(todos.map((todo) => (todo.id === id ? { ...todo, ...changes } : todo)))

  return (
    <div className="flex min-h-dvh flex-col bg-canvas px-4 text-ink antialiased">
      <main className="mx-auto w-full max-w-xl grow py-12 sm:py-20">
        <header className="flex items-center justify-between gap-6">
          <div>
            <p className="text-sm font-medium text-muted">
              {new Date().toLocaleDateString('en', { weekday: 'long', month: 'long', day: 'numeric' })}
            </p>
            <h1 className="mt-1 text-4xl font-semibold tracking-tight">{TITLE}</h1>
          </div>
          <ProgressRing done={done} total={todos.length} />
        </header>

        <AddTodo onAdd={add} />

        <section className="mt-6 overflow-hidden rounded-2xl border border-line bg-surface shadow-sm">
          {shown.length > 0 ? (
            <ul className="divide-y divide-line">
              {shown.map((todo) => (
                <TodoItem key={todo.id} todo={todo} onChange={change} onRemove={remove} />
              ))}
            </ul>
          ) : (
            <p className="px-6 py-14 text-center text-muted">
              {filter === 'Done' ? 'Nothing finished yet. You’ve got this.' : 'All clear. Enjoy the quiet.'}
            </p>
          )}
          <footer className="flex flex-wrap items-center justify-between gap-3 border-t border-line px-4 py-3 text-sm text-muted">
            <span aria-live="polite">
              {open} {open === 1 ? 'thing' : 'things'} left
            </span>
            <nav className="flex gap-1" aria-label="Filter">
              {Object.keys(FILTERS).map((name) => (
                <button
                  key={name}
                  type="button"
                  aria-pressed={filter === name}
                  onClick={() => setFilter(name)}
                  className="rounded-lg px-3 py-1.5 font-medium transition hover:text-ink aria-pressed:bg-accent/10 aria-pressed:text-accent-text"
                >
                  {name}
                </button>
              ))}
            </nav>
          </footer>
        </section>
      </main>
    </div>
  )
}
