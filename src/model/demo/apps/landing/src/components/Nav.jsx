const LINKS = [
  ['How it works', '#how'],
  ['Prices', '#prices'],
  ['Questions', '#questions'],
]

export default function Nav() {
  return (
    <header className="sticky top-0 z-10 border-b border-line/60 bg-canvas/85 backdrop-blur">
      <div className="mx-auto flex max-w-6xl items-center justify-between gap-6 px-5 py-4">
        <a href="#top" className="flex items-center gap-2.5 font-display text-xl font-semibold">
          <span aria-hidden="true" className="grid size-8 place-items-center rounded-full bg-accent text-sm text-on-accent">
            ➔
          </span>
          Railway Days
        </a>
        <nav aria-label="Sections" className="flex items-center gap-7 text-sm font-medium">
          {LINKS.map(([name, target]) => (
            <a key={target} href={target} className="text-muted transition hover:text-ink max-md:hidden">
              {name}
            </a>
          ))}
          <a href="#signup" className="rounded-full bg-ink px-4 py-2 text-canvas transition hover:opacity-85">
            Get on board
          </a>
        </nav>
      </div>
    </header>
  )
}
