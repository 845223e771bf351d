import { screen, waitFor, within } from "@testing-library/react";
import type { UserEvent } from "@testing-library/user-event";
import { beforeEach, expect, test } from "vitest";
import { Sites } from "../../admin/pages/Sites";
import { Invitations } from "../../admin/pages/Invitations";
import { dialog } from "../../test/act";
import { page, server } from "../../test/api";
import * as make from "../../test/make";
import { show } from "../../test/show";
import { Webhooks } from "../money/Webhooks";
import { Tokens } from "./Tokens";

/** What the server says once: a token, a secret, a link. No key and no click beside it may lose it. */

beforeEach(() => server.on("get", "/api/v1/groups", page<never>([])));

const press = async (user: UserEvent, name: string) => user.click(within(await dialog()).getByRole("button", { name }));

const SECRETS = {
  "an API token": async () => {
    server.on("get", "/api/v1/auth/tokens", page([make.token()]));
    server.on("post", "/api/v1/auth/tokens", make.token({ token: "only-once" }));
    const { user } = show(<Tokens open onClose={() => {}} />);
    await user.click(await screen.findByRole("button", { name: "Create token" }));
    await user.type(await screen.findByLabelText("Password"), "battery-staple");
    await press(user, "OK");
    return user;
  },
  "a webhook's secret": async () => {
    server.on("get", "/api/v1/webhooks", page<never>([]));
    server.on("post", "/api/v1/webhooks", make.webhook({ secret: "only-once" }));
    const { user } = show(<Webhooks />);
    await user.click(await screen.findByRole("button", { name: "New webhook" }));
    await user.type(await screen.findByLabelText("URL"), "https://example.org/hook");
    await press(user, "OK");
    return user;
  },
  "a webhook's new secret": async () => {
    server.on("get", "/api/v1/webhooks", page([make.webhook()]));
    server.on(
      "post",
      "/api/v1/webhooks/{webhook_id}/rotate-secret",
      make.webhook({ secret: "only-once", old_secret_until: make.NOW }),
    );
    const { user } = show(<Webhooks />);
    await user.click(await screen.findByRole("button", { name: "New secret" }));
    await press(user, "New secret");
    return user;
  },
  "an invitation's link": async () => {
    server.on("get", "/api/v1/invitations", page<never>([]));
    server.on("post", "/api/v1/invitations", make.invitation({ url: "only-once" }));
    const { user } = show(<Invitations />);
    await user.click(await screen.findByRole("button", { name: "Create invitation" }));
    await press(user, "OK");
    return user;
  },
  "a site's token": async () => {
    server.on("get", "/api/v1/sites", page<never>([]));
    server.on("post", "/api/v1/sites", make.site({ token: "only-once" }));
    const { user } = show(<Sites />);
    await user.click(await screen.findByRole("button", { name: "Create site" }));
    await user.type(within(await dialog()).getByLabelText("Name"), "basement");
    await press(user, "OK");
    return user;
  },
};

test.each(Object.entries(SECRETS))("only its button closes what shows %s", async (_, make) => {
  const user = await make();
  const secret = await screen.findByText(/only-once/);
  expect(secret).toBeVisible();
  await user.keyboard("{Escape}");
  for (const wrap of document.querySelectorAll(".ant-modal-wrap")) await user.click(wrap);
  await user.keyboard("{Escape}{Enter}");
  expect(screen.getByText(/only-once/)).toBeVisible();
  await user.click(screen.getByRole("button", { name: "I have copied it" }));
  await waitFor(() => expect(screen.queryByText(/only-once/)).toBeNull());
});
