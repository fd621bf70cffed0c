export default function Mark({ player, still = false }) {
  const stroke = { pathLength: 1, strokeDasharray: 1, className: still ? undefined : 'animate-draw' }

  return (
    <svg
      viewBox="4 4 40 40"
      aria-hidden="true"
      fill="none"
      stroke="currentColor"
      strokeWidth="5"
      strokeLinecap="round"
      className={`w-3/5 ${player === 'X' ? 'text-accent' : 'text-other'}`}
    >
      {player === 'X' ? (
        <>
          <path d="M10 10l28 28" {...stroke} />
          <path d="M38 10L10 38" {...stroke} style={still ? undefined : { animationDelay: '0.12s' }} />
        </>
      ) : (
        <circle cx="24" cy="24" r="15" transform="rotate(-90 24 24)" {...stroke} />
      )}
    </svg>
  )
}
