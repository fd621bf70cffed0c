import { useState } from 'react'
import Aside from './components/Aside.jsx'
import LoginForm from './components/LoginForm.jsx'
import Welcome from './components/Welcome.jsx'

const TITLE = 'Welcome back'

export default function App() {
  const [user, setUser] = useState(() => sessionStorage.getItem('user'))

  function signIn(email) {
    sessionStorage.setItem('user', email)
    setUser(email)
  }

  function signOut() {
    sessionStorage.removeItem('user')
    setUser(null)
  }

  return (
    <div className="flex min-h-dvh flex-col bg-canvas text-ink antialiased">
      <main className="grid grow lg:grid-cols-2">
        <Aside />
        <section className="grid place-items-center px-5 py-12">
          <div className="w-full max-w-sm animate-enter">
            {user ? (
              <Welcome email={user} onSignOut={signOut} />
            ) : (
              <>
                <h1 className="text-3xl font-semibold tracking-tight">{TITLE}</h1>
                <p className="mt-2 text-muted">Sign in to pick up where you left off.</p>
                <LoginForm onSignIn={signIn} />
              </>
            )}
          </div>
        </section>
      </main>
    </div>
  )
}
