import { App, ConfigProvider, theme } from "antd";
import enUS from "antd/locale/en_US";
import zhCN from "antd/locale/zh_CN";
import { createContext, type ReactNode, useContext, useEffect, useState, useSyncExternalStore } from "react";
import { useTranslation } from "react-i18next";
import { type Colours, tokens } from "./colours";

const STORE = "utcloud.dark";
const DarkContext = createContext<[boolean, (dark: boolean) => void]>([false, () => {}]);

/** Whether dark mode is on, and how to switch it. */
export const useDark = () => useContext(DarkContext);

const system = matchMedia("(prefers-color-scheme: dark)");

function follow(changed: () => void) {
  system.addEventListener("change", changed);
  return () => system.removeEventListener("change", changed);
}

/** What was chosen here; null while one follows the system. */
function chosen(): boolean | null {
  const stored = localStorage.getItem(STORE);
  return stored ? stored === "1" : null;
}

/** The look of one end: the same family, with a colour of its own. */
export function Theme({ colours, children }: { colours: Colours; children: ReactNode }) {
  const { i18n } = useTranslation();
  const [choice, setChoice] = useState(chosen);
  const systemDark = useSyncExternalStore(follow, () => system.matches);
  const dark = choice ?? systemDark;
  useEffect(() => {
    document.documentElement.style.colorScheme = dark ? "dark" : "light";
  }, [dark]);
  const { token, components } = tokens(colours, dark);
  const change = (value: boolean) => {
    localStorage.setItem(STORE, value ? "1" : "0");
    setChoice(value);
  };
  return (
    <DarkContext.Provider value={[dark, change]}>
      <ConfigProvider
        locale={i18n.language === "zh" ? zhCN : enUS}
        button={{ autoInsertSpace: false }}
        theme={{
          algorithm: dark ? theme.darkAlgorithm : theme.defaultAlgorithm,
          token: {
            ...token,
            borderRadius: 8,
            // Nothing slides in: what one asks for is there at once, and stands still.
            motion: false,
            fontFamily:
              'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif',
          },
          components,
        }}
      >
        <App notification={{ placement: "bottomRight" }}>{children}</App>
      </ConfigProvider>
    </DarkContext.Provider>
  );
}
