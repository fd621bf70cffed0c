import { useState } from 'react'
import Field from './Field.jsx'

const EMAIL = /^[^\s@]+@[^\s@]+\.[^\s@]+$/
const NOTHING = { email: '', password: '' }

function problemsOf({ email, password }) {
  const problems = {}
  if (!EMAIL.test(email)) problems.email = 'Enter an email address like ada@example.com.'
  if (password.length < 8) problems.password = 'The password has at least 8 characters.'
  return problems
}

export default function LoginForm({ onSignIn }) {
  const [values, setValues] = useState(NOTHING)
  const [visible, setVisible] = useState(false)
  const [tried, setTried] = useState(false)
  const [busy, setBusy] = useState(false)
  const problems = tried ? problemsOf(values) : {}

  const change = (event) => setValues({ ...values, [event.target.name]: event.target.value })

  function submit(event) {
    event.preventDefault()
    setTried(true)
    const first = Object.keys(problemsOf(values))[0]
    if (first) {
      event.currentTarget.elements[first].focus()
      return
    }
    // There is no server behind this page: any well-formed sign-in succeeds.
    setBusy(true)
    setTimeout(() => onSignIn(values.email), 700)
  }

  return (
    <form onSubmit={submit} noValidate className="mt-8 grid gap-5">
      <Field
        label="Email"
        name="email"
        type="email"
        autoComplete="email"
        placeholder="ada@example.com"
        value={values.email}
        onChange={change}
        problem={problems.email}
      />
      <Field
        label="Password"
        name="password"
        type={visible ? 'text' : 'password'}
        autoComplete="current-password"
        placeholder="At least 8 characters"
        value={values.password}
        onChange={change}
        problem={problems.password}
      >
        <button
          type="button"
          onClick={() => setVisible(!visible)}
          aria-pressed={visible}
          aria-label="Show password"
          className="rounded-lg px-3 py-1.5 text-sm font-medium text-muted transition hover:text-ink focus-visible:ring-2 focus-visible:ring-accent focus-visible:outline-none"
        >
          {visible ? 'Hide' : 'Show'}
        </button>
      </Field>

      <label className="flex items-center gap-3 text-sm text-muted">
        <input type="checkbox" name="remember" className="size-4 rounded accent-accent" defaultChecked />
        Keep me signed in
      </label>

      <button
        type="submit"
        disabled={busy}
        className="flex h-12 items-center justify-center gap-3 rounded-xl bg-accent font-semibold text-on-accent shadow-sm transition enabled:hover:brightness-110 enabled:active:scale-[0.98] disabled:opacity-80"
      >
        {busy && <span className="size-4 animate-spin rounded-full border-2 border-current border-t-transparent" />}
        {busy ? 'Signing in…' : 'Sign in'}
      </button>
    </form>
  )
}
