const FEATURES = [
  ['M5 19c6 0 3-14 14-14M5 19a2 2 0 1 0 0-.1M19 5a2 2 0 1 0 0-.1', 'A route, not a search', 'One plan from door to door, with the ferry and the night train already in it.'],
  ['M12 7v5l3.5 2M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18', 'Changes you can make', 'Never less than twenty minutes, and we know which station has the good bakery.'],
  ['M4 6a2 2 0 0 1 2-2h12a2 2 0 0 1 2 2v14H4zM4 15l5-5 4 4 3-3 4 4', 'The right side', 'Lake on the left, Alps on the right: we reserve the seat with the better view.'],
]

export default function Features() {
  return (
    <section id="how" className="scroll-mt-20 border-y border-line bg-surface">
      <div className="mx-auto max-w-6xl px-5 py-20">
        <h2 className="max-w-lg font-display text-4xl font-semibold tracking-tight text-balance">
          The planning is done before the kettle boils
        </h2>
        <ul className="mt-12 grid gap-10 md:grid-cols-3">
          {FEATURES.map(([icon, name, text]) => (
            <li key={name}>
              <span className="grid size-12 place-items-center rounded-2xl bg-accent/12 text-accent-text">
                <svg
                  viewBox="0 0 24 24"
                  aria-hidden="true"
                  className="size-6"
                  fill="none"
                  stroke="currentColor"
                  strokeWidth="1.75"
                  strokeLinecap="round"
                  strokeLinejoin="round"
                >
                  <path d={icon} />
                </svg>
              </span>
              <h3 className="mt-5 text-lg font-semibold">{name}</h3>
              <p className="mt-2 leading-relaxed text-muted">{text}</p>
            </li>
          ))}
        </ul>
      </div>
    </section>
  )
}
