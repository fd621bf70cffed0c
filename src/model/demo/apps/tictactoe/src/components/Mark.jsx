export default function Mark({ player, still = false }) {
  const stroke = { pathLength: 1, strokeDasharray: 1, className: still ? undefined : 'animate-draw' }

  return (
    <svg
      viewBox="0 0 48 48"
      aria-hidden="true"
      fill="none"
      stroke="currentColor"
      strokeWidth="6"
      strokeLinecap="round"
      className={`w-1/2 ${player === 'X' ? 'text-accent' : 'text-other'}`}
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
