import { money } from '../data.js'

export default function Products({ products }) {
  const most = Math.max(...products.map((product) => product.revenue))

  return (
    <section className="mt-4 overflow-x-auto rounded-2xl border border-line bg-surface p-5">
      <h2 className="font-semibold">Best sellers</h2>
      <table className="mt-3 w-full min-w-96 text-left">
        <thead className="text-sm text-muted">
          <tr>
            <th className="py-2 font-medium">Product</th>
            <th className="w-2/5 py-2 font-medium">Share</th>
            <th className="py-2 text-right font-medium">Sold</th>
            <th className="py-2 text-right font-medium">Revenue</th>
          </tr>
        </thead>
        <tbody className="divide-y divide-line">
          {products.map(({ name, sold, revenue }) => (
            <tr key={name}>
              <td className="py-3 font-medium">{name}</td>
              <td className="py-3 pr-6">
                <div className="h-2 overflow-hidden rounded-full bg-line">
                  <div
                    className="h-full rounded-full bg-accent transition-all duration-500"
                    style={{ width: `${(revenue / most) * 100}%` }}
                  />
                </div>
              </td>
              <td className="py-3 text-right tabular-nums">{sold.toLocaleString('en')}</td>
              <td className="py-3 text-right tabular-nums">{money(revenue)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  )
}
