const FEATURES = [
  ['🧭', 'A route, not a search', 'One plan from door to door, with the ferry and the night train already in it.'],
  ['⏱️', 'Changes you can make', 'Never less than twenty minutes, and we know which station has the good bakery.'],
  ['🪟', 'The right side', 'Lake on the left, Alps on the right: we reserve the seat with the better view.'],
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
              <span aria-hidden="true" className="grid size-12 place-items-center rounded-2xl bg-accent/12 text-2xl">
                {icon}
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
