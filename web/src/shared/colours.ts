import type { ThemeConfig } from "antd";

/** The colours of one end. */
export interface Colours {
  light: string;
  dark: string;
  /** Under the pointer. */
  lightHover: string;
  darkHover: string;
  /** Behind what is chosen, in light mode. */
  tint: string;
}

/*
 * Ant Design's own greys, tags and dark buttons are fainter than WCAG 2 asks of text (4.5 : 1); tests/e2e/
 * test_accessibility.py measures each page.
 */
const LIGHT = {
  colorTextDescription: "rgba(0, 0, 0, 0.6)",
  colorTextTertiary: "rgba(0, 0, 0, 0.6)",
  colorTextPlaceholder: "rgba(0, 0, 0, 0.56)",
  colorError: "#cf1322",
  colorErrorHover: "#a8071a",
  colorWarning: "#a35a00",
  colorSuccess: "#237804",
};
const LIGHT_TAGS = {
  cyan: "#006d75",
  gold: "#874d00",
  green: "#237804",
  orange: "#ad4e00",
  volcano: "#ad2102",
};
const DARK = {
  colorTextDescription: "rgba(255, 255, 255, 0.62)",
  colorTextTertiary: "rgba(255, 255, 255, 0.62)",
  colorTextPlaceholder: "rgba(255, 255, 255, 0.55)",
  colorError: "#ff8582",
  colorErrorHover: "#ffb3b0",
};
const DARK_TAGS = {
  blue: "#65a9f3",
  cyan: "#58d1c9",
  geekblue: "#8ea9f5",
  gold: "#f3cc62",
  green: "#8fd460",
  magenta: "#f075ac",
  orange: "#f3b765",
  red: "#f58c89",
  volcano: "#f3956a",
};
/** On what is filled with a light colour. */
const INK = "#0b0f14";

/** The text of tags, which the theme names in two ways. */
const tagTexts = (colours: Record<string, string>) =>
  Object.fromEntries(
    Object.entries(colours).flatMap(([name, colour]) => [
      [`${name}-7`, colour],
      [`${name}7`, colour],
    ]),
  );

/** The tokens of one end's look. */
export function tokens(colours: Colours, dark: boolean): Pick<ThemeConfig, "token" | "components"> {
  const colour = dark ? colours.dark : colours.light;
  const hover = dark ? colours.darkHover : colours.lightHover;
  return {
    token: {
      colorPrimary: colour,
      colorLink: colour,
      colorPrimaryHover: hover,
      colorLinkHover: hover,
      ...(dark ? DARK : { ...LIGHT, colorPrimaryBg: colours.tint }),
      ...tagTexts(dark ? DARK_TAGS : LIGHT_TAGS),
    },
    components: {
      Progress: { defaultColor: colour },
      Menu: {
        darkItemSelectedBg: colours.light,
        darkItemSelectedColor: "#fff",
        ...(dark && { itemSelectedColor: "#fff" }),
      },
      ...(dark && { Button: { primaryColor: INK, dangerColor: INK } }),
    },
  };
}
