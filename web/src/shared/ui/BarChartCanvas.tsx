import { theme } from "antd";
import { BarChart } from "echarts/charts";
import { GridComponent, TooltipComponent } from "echarts/components";
import { init, use as register } from "echarts/core";
import { SVGRenderer } from "echarts/renderers";
import { useEffect, useRef } from "react";

register([BarChart, GridComponent, TooltipComponent, SVGRenderer]);

export interface Bars {
  /** What is shown, for those who do not see it. */
  label: string;
  /** `value` is drawn, `text` is what is said of it. */
  bars: { name: string; value: number; text: string }[];
}

/** Only through `BarChart`, which loads it when it is needed. */
export default function BarChartCanvas({ bars }: Bars) {
  const place = useRef<HTMLDivElement>(null);
  const { token } = theme.useToken();
  const { colorPrimary, colorTextSecondary, colorBorderSecondary, colorBgElevated, colorText } = token;

  useEffect(() => {
    if (!place.current) return;
    const chart = init(place.current, undefined, { renderer: "svg" });
    const words = { color: colorTextSecondary, fontSize: 12 };
    chart.setOption({
      animation: false,
      grid: { left: 4, right: 4, top: 12, bottom: 4, outerBoundsMode: "same" },
      tooltip: {
        trigger: "axis",
        axisPointer: { type: "shadow" },
        backgroundColor: colorBgElevated,
        borderColor: colorBorderSecondary,
        textStyle: { color: colorText },
        formatter: (shown: { dataIndex: number }[]) => {
          const bar = bars[shown[0]?.dataIndex ?? 0];
          return bar ? `${bar.name}<br/><strong>${bar.text}</strong>` : "";
        },
      },
      xAxis: {
        type: "category",
        data: bars.map((bar) => bar.name.slice(5)),
        axisLabel: words,
        axisTick: { show: false },
        axisLine: { lineStyle: { color: colorBorderSecondary } },
      },
      yAxis: {
        type: "value",
        splitNumber: 4,
        axisLabel: words,
        splitLine: { lineStyle: { color: colorBorderSecondary } },
      },
      series: [
        {
          type: "bar",
          data: bars.map((bar) => bar.value),
          barMaxWidth: 36,
          itemStyle: { color: colorPrimary, borderRadius: [4, 4, 0, 0] },
        },
      ],
    });
    const follow = new ResizeObserver(() => chart.resize());
    follow.observe(place.current);
    return () => {
      follow.disconnect();
      chart.dispose();
    };
  }, [bars, colorPrimary, colorTextSecondary, colorBorderSecondary, colorBgElevated, colorText]);

  return <div ref={place} style={{ height: "100%" }} />;
}
