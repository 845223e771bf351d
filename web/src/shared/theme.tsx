import { App, ConfigProvider, theme } from "antd";
import enUS from "antd/locale/en_US";
import zhCN from "antd/locale/zh_CN";
import { createContext, type ReactNode, useContext, useEffect, useState } from "react";
import { useTranslation } from "react-i18next";

const STORE = "utcloud.dark";
const DarkContext = createContext<[boolean, (dark: boolean) => void]>([false, () => {}]);

/** Whether dark mode is on, and how to switch it. */
export const useDark = () => useContext(DarkContext);

function first(): boolean {
  const stored = localStorage.getItem(STORE);
  return stored ? stored === "1" : matchMedia("(prefers-color-scheme: dark)").matches;
}

interface Colours {
  light: string;
  dark: string;
  /** Behind what is chosen, in light mode. */
  tint: string;
}

/** The look of one end: the same family, with a colour of its own. */
export function Theme({ colours, children }: { colours: Colours; children: ReactNode }) {
  const { i18n } = useTranslation();
  const [dark, setDark] = useState(first);
  useEffect(() => {
    document.documentElement.style.colorScheme = dark ? "dark" : "light";
  }, [dark]);
  const colour = dark ? colours.dark : colours.light;
  const change = (value: boolean) => {
    localStorage.setItem(STORE, value ? "1" : "0");
    setDark(value);
  };
  return (
    <DarkContext.Provider value={[dark, change]}>
      <ConfigProvider
        locale={i18n.language === "zh" ? zhCN : enUS}
        button={{ autoInsertSpace: false }}
        theme={{
          algorithm: dark ? theme.darkAlgorithm : theme.defaultAlgorithm,
          token: {
            colorPrimary: colour,
            colorLink: colour,
            ...(!dark && { colorPrimaryBg: colours.tint }),
            borderRadius: 8,
            // Nothing slides in: what one asks for is there at once, and stands still.
            motion: false,
            fontFamily:
              'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif',
          },
          components: { Progress: { defaultColor: colour } },
        }}
      >
        <App notification={{ placement: "bottomRight" }}>{children}</App>
      </ConfigProvider>
    </DarkContext.Provider>
  );
}
