// Fills context.campaign from the utm_ parameters of the page's address, where the SDK did not.
import { utm } from 'turnout/url';

export function transformEvent(event) {
  const page = event.context?.page;
  const found = utm(page?.url ?? page?.search ?? event.properties?.url);
  const { campaign, ...others } = found;
  const named = campaign === undefined ? others : { name: campaign, ...others };
  if (Object.keys(named).length === 0) return event;
  event.context = { ...event.context, campaign: { ...named, ...event.context?.campaign } };
  return event;
}
