const RADIUS = 26
const LENGTH = 2 * Math.PI * RADIUS

export default function ProgressRing({ done, total }) {
  const part = total === 0 ? 0 : done / total

  return (
    <div className="relative size-16 shrink-0" role="img" aria-label={`${done} of ${total} done`}>
      <svg viewBox="0 0 64 64" className="-rotate-90" fill="none" strokeWidth="6" strokeLinecap="round">
        <circle cx="32" cy="32" r={RADIUS} className="stroke-line" />
        <circle
          cx="32"
          cy="32"
          r={RADIUS}
          className="stroke-accent transition-[stroke-dashoffset] duration-500 ease-out"
          strokeDasharray={LENGTH}
          strokeDashoffset={LENGTH * (1 - part)}
          opacity={part === 0 ? 0 : 1}
        />
      </svg>
      <span className="absolute inset-0 grid place-items-center text-sm font-semibold tabular-nums">
        {done}/{total}
      </span>
    </div>
  )
}
