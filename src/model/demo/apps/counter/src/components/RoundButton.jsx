export default function RoundButton({ label, onClick, strong = false, children }) {
  const look = strong
    ? 'size-24 bg-accent text-5xl text-on-accent shadow-lg shadow-accent/30 hover:brightness-110'
    : 'size-16 border border-line text-3xl text-muted hover:border-accent hover:text-accent-text'

  return (
    <button
      type="button"
      aria-label={label}
      onClick={onClick}
      className={`grid place-items-center rounded-full leading-none font-light transition select-none focus-visible:ring-4 focus-visible:ring-accent/30 focus-visible:outline-none active:scale-90 ${look}`}
    >
      {children}
    </button>
  )
}
