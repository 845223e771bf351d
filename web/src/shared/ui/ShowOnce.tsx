import { App, Typography } from "antd";
import { useTranslation } from "react-i18next";
import { Copyable } from "./bits";

interface Secret {
  title: string;
  hint?: string;
  label: string;
  text: string;
}

/** Show a secret that the server will not say again, to be copied. Only its button closes it: Esc would lose it. */
export function useShowOnce() {
  const { modal } = App.useApp();
  const { t } = useTranslation();
  return ({ title, hint, label, text }: Secret) =>
    void modal.success({
      title,
      width: 560,
      okText: t("common.copied"),
      keyboard: false,
      // There is no such button, so none has the focus: a key pressed once too often in the form before closes nothing.
      focusable: { autoFocusButton: "cancel" },
      content: (
        <>
          {hint && <Typography.Paragraph type="secondary">{hint}</Typography.Paragraph>}
          <Copyable text={text} label={label} />
        </>
      ),
    });
}
