import { Skeleton } from "antd";
import { lazy, Suspense } from "react";
import type { Bars } from "./BarChartCanvas";

const Canvas = lazy(() => import("./BarChartCanvas"));

/** Bars over time. The drawing is loaded when it is needed; who cannot see it reads the same figures as a table. */
export function BarChart(props: Bars & { height?: number }) {
  const { label, bars, height = 240 } = props;
  return (
    <figure style={{ margin: 0 }}>
      <div aria-hidden style={{ height }}>
        <Suspense fallback={<Skeleton active title={false} paragraph={{ rows: 5 }} />}>
          <Canvas {...props} />
        </Suspense>
      </div>
      <div className="hidden">
        <table>
          <caption>{label}</caption>
          <tbody>
            {bars.map((bar) => (
              <tr key={bar.name}>
                <th scope="row">{bar.name}</th>
                <td>{bar.text}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </figure>
  );
}
