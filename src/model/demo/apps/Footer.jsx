export default function Footer({ name }) {
  return (
    <footer className="py-8 text-center text-sm text-muted">
      <p>
        {name} · made with care in {new Date().getFullYear()}
      </p>
    </footer>
  )
}
