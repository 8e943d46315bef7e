"""Train on a folder of your own: `python examples/custom_dataset.py ROOT`.

The folder has ROOT/visible/PERSON/*.jpg and ROOT/infrared/PERSON/*.jpg, where PERSON is a number. Every fourth person
is kept for the evaluation. Where ROOT does not exist, people are drawn into it, so that there is something to run on.
"""
import argparse
from pathlib import Path

import timm
import torch

from fdnm_timm.data import INFRARED, VISIBLE, CrossModalityDataset, register_dataset
from fdnm_timm.data.synthetic import draw_person
from fdnm_timm.engine import CrossModalityDataManager, FDNMEngine


@register_dataset  # so that `create_dataset('my_people', ROOT)`, data managers and configurations know its name too
class MyPeople(CrossModalityDataset):
    name = 'my_people'
    marker = 'visible'  # a folder that holds it is the data set's

    def __init__(self, root):
        super().__init__(root)
        files = sorted(self.root.glob('*/*/*.jpg'))
        records = [(str(file), int(file.parent.name), 1 + self.modality(file)) for file in files]  # camera 1 and 2
        self._set_train([record for record in records if record[1] % 4])
        self.test = [record for record in records if record[1] % 4 == 0]
        self.query = [record for record in self.test if self.modality(record[0]) == INFRARED]
        self.gallery = [record for record in self.test if self.modality(record[0]) == VISIBLE]

    def modality(self, path):
        return INFRARED if Path(path).parts[-3] == 'infrared' else VISIBLE


def draw(root: Path, people: int) -> None:
    for pid in range(people):
        for modality, cameras in (('visible', (1, 2)), ('infrared', (3, 6))):
            (root / modality / str(pid)).mkdir(parents=True)
            for camid in cameras:
                for index in range(2):
                    file = root / modality / str(pid) / f'{camid}_{index}.jpg'
                    draw_person(pid, camid, index).save(file, quality=95)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('root', type=Path, nargs='?', default=Path('my_people'))
    parser.add_argument('--people', type=int, default=40, help='to draw where ROOT does not exist')
    parser.add_argument('--epochs', type=int, default=10)
    parser.add_argument('--height', type=int, default=96)
    parser.add_argument('--out', default='runs/my_people')
    args = parser.parse_args()
    if not args.root.exists():
        draw(args.root, args.people)
    datamanager = CrossModalityDataManager(
        sources=MyPeople(args.root), height=args.height, width=args.height // 2, pad=4, erasing=0, workers=0)
    model = timm.create_model('fdnm_resnet18', num_classes=datamanager.num_train_pids)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9, weight_decay=5e-4)
    FDNMEngine(datamanager, model, optimizer).run(save_dir=args.out, max_epoch=args.epochs)


if __name__ == '__main__':
    main()
