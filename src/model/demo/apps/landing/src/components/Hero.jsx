import Landscape from './Landscape.jsx'

export default function Hero({ title }) {
  return (
    <section id="top" className="mx-auto max-w-6xl px-5 pt-16 pb-20 text-center sm:pt-24">
      <p className="text-sm font-semibold tracking-wide text-accent-text">Slow journeys, well planned</p>
      <h1 className="mx-auto mt-4 max-w-3xl font-display text-5xl leading-[1.05] font-semibold tracking-tight text-balance sm:text-7xl">
        {title}
      </h1>
      <p className="mx-auto mt-6 max-w-xl text-lg leading-relaxed text-pretty text-muted">
        Tell us where you are and how many days you have. We plan a trip by train: connections that hold, seats on the
        right side, and hotels you can walk to.
      </p>
      <div className="mt-9 flex flex-wrap justify-center gap-3">
        <a
          href="#signup"
          className="rounded-full bg-accent px-7 py-3.5 font-semibold text-on-accent shadow-lg shadow-accent/25 transition hover:-translate-y-0.5 hover:brightness-110"
        >
          Plan my first trip
        </a>
        <a
          href="#how"
          className="rounded-full border border-line bg-surface px-7 py-3.5 font-semibold transition hover:border-ink/30"
        >
          How it works
        </a>
      </div>
      <Landscape />
    </section>
  )
}
