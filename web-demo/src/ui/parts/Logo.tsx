/** Two overlapping tiles: what is built by several at once. */
export function Logo({ size = 22 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" fill="none" aria-hidden="true">
      <rect x="3" y="3" width="18" height="18" rx="5.5" fill="var(--accent-solid)" />
      <rect x="11" y="11" width="18" height="18" rx="5.5" fill="var(--warm)" />
      <path d="M21 11v4.5a5.5 5.5 0 0 1-5.5 5.5H11v-4.5a5.5 5.5 0 0 1 5.500-5.500z" fill="#fff" />
    </svg>
  );
}
