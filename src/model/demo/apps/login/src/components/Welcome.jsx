export default function Welcome({ email, onSignOut }) {
  const name = email.split('@')[0]

  return (
    <div className="animate-enter text-center">
      <div
        aria-hidden="true"
        className="mx-auto grid size-20 place-items-center rounded-full bg-accent text-3xl font-semibold text-on-accent uppercase"
      >
        {name[0]}
      </div>
      <h1 className="mt-6 text-3xl font-semibold tracking-tight wrap-anywhere">Hello, {name}</h1>
      <p className="mt-2 text-muted wrap-anywhere">You are signed in as {email}.</p>
      <button
        type="button"
        onClick={onSignOut}
        className="mt-8 rounded-xl border border-line bg-surface px-6 py-3 font-medium shadow-sm transition hover:border-accent hover:text-accent-text"
      >
        Sign out
      </button>
    </div>
  )
}
