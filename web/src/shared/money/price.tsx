import { App } from "antd";
import { useTranslation } from "react-i18next";
import { ApiError } from "../api/problem";
import { formatUnc } from "../format";
import { queryClient } from "../query";

/** What is done with something that was ordered at a price. */
export type Order<T> = (price: string) => Promise<T>;

/** Order at the price that is shown. Where it is another by now, both are said, and one may order at the new one. */
export function useAgreedPrice() {
  const { t } = useTranslation();
  const { modal } = App.useApp();
  return async function agreed<T>(shown: string, order: Order<T>): Promise<T> {
    try {
      return await order(shown);
    } catch (error) {
      const price = error instanceof ApiError && error.problem.code === "price_changed" && error.problem.price;
      if (!price) throw error;
      void queryClient.invalidateQueries();
      const accepted = await modal.confirm({
        title: t("prices.changed"),
        content: t("prices.changedTo", { from: formatUnc(shown), to: formatUnc(price) }),
        okText: t("prices.accept"),
      });
      if (!accepted) throw error;
      return agreed(price, order);
    }
  };
}
