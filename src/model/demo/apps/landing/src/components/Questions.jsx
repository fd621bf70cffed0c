const QUESTIONS = [
  ['What if I miss a connection?', 'You get a new plan on your phone before the next announcement, hotel included.'],
  ['Is it slower than flying?', 'Often, yes. That is rather the point, and you arrive in the middle of town.'],
  ['Can I bring my bicycle?', 'Tell us once, and every plan uses trains that take it along.'],
]

export default function Questions() {
  return (
    <section id="questions" className="mx-auto max-w-3xl scroll-mt-20 px-5 pb-20">
      <h2 className="font-display text-4xl font-semibold tracking-tight">Before you ask</h2>
      <div className="mt-8 divide-y divide-line border-y border-line">
        {QUESTIONS.map(([question, answer]) => (
          <details key={question} className="group py-5">
            <summary className="flex cursor-pointer list-none items-center justify-between gap-4 text-lg font-medium">
              {question}
              <span aria-hidden="true" className="text-2xl leading-none text-accent-text transition group-open:rotate-45">
                +
              </span>
            </summary>
            <p className="mt-3 leading-relaxed text-muted">{answer}</p>
          </details>
        ))}
      </div>
    </section>
  )
}
