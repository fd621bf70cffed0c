export default function Landscape() {
  return (
    <svg
      viewBox="0 0 1200 460"
      preserveAspectRatio="xMidYMax slice"
      role="img"
      aria-label="A train crossing a valley at sunrise"
      className="mt-14 h-72 w-full rounded-[2rem] bg-sky sm:h-[26rem]"
    >
      <circle cx="860" cy="190" r="74" className="fill-sun" />
      <path d="M0 300 190 150l120 96 150-140 210 190 130-96 190 130 210-150v380H0z" className="fill-far" />
      <path d="M0 330c190-70 330-20 480 6s320-66 460-30 190 40 260 16v180H0z" className="fill-near" />

      <g className="animate-ride motion-reduce:transform-none motion-reduce:animate-none">
        <g className="fill-accent">
          <rect x="0" y="346" width="92" height="36" rx="7" />
          <rect x="98" y="346" width="92" height="36" rx="7" />
          <path d="M196 346h66c22 0 36 16 42 36H196z" />
        </g>
        <g className="fill-on-accent" opacity="0.85">
          {[10, 30, 50, 70, 108, 128, 148, 168, 206, 226].map((x) => (
            <rect key={x} x={x} y="354" width="12" height="11" rx="2.5" />
          ))}
        </g>
      </g>

      <path d="M0 384h1200v6H0z" className="fill-ink" opacity="0.55" />
      <g className="fill-ink" opacity="0.55">
        {Array.from({ length: 15 }, (_, at) => (
          <path key={at} d={`M${at * 84 + 6} 390h12l6 70h-24z`} />
        ))}
      </g>
      <path d="M0 436c240-34 420-8 640-2s380-22 560-4v40H0z" className="fill-field" />
    </svg>
  )
}
